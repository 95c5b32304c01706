// SPDX-License-Identifier: Apache-2.0

#include "Lexer.h"
#include "ptxemu/ptxemu.h"
#include <bit>
#include <charconv>

namespace ptxemu {

static bool isDigit(char c) { return c >= '0' && c <= '9'; }
static bool isWordStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%' || c == '.';
}
static bool isWord(char c) { return isWordStart(c) || isDigit(c); }

namespace {
struct Lexer {
  std::string_view text;
  size_t at = 0;
  int line = 1;
  std::vector<Token> tokens;

  char peek(size_t ahead = 0) const { return at + ahead < text.size() ? text[at + ahead] : '\0'; }
  [[noreturn]] void fail(const std::string &what) const { throw Error(what, line); }

  void skipBlanks() {
    while (at < text.size()) {
      char c = peek();
      if (c == '\n') {
        ++line;
        ++at;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' || (c == '\0' && at + 1 == text.size())) {
        ++at; // drivers take text with its terminating zero
      } else if (c == '/' && peek(1) == '/') {
        while (at < text.size() && peek() != '\n')
          ++at;
      } else if (c == '/' && peek(1) == '*') {
        int begun = line;
        for (at += 2; !(peek() == '*' && peek(1) == '/'); ++at) {
          if (at >= text.size())
            throw Error("comment is not closed", begun);
          line += peek() == '\n';
        }
        at += 2;
      } else {
        return;
      }
    }
  }

  uint64_t digits(size_t begin, size_t end, int base) {
    uint64_t value = 0;
    auto [last, error] = std::from_chars(text.data() + begin, text.data() + end, value, base);
    if (error != std::errc() || last != text.data() + end || begin == end)
      fail("'" + std::string(text.substr(begin, std::min<size_t>(end - begin, 40))) + "' is not a number of 64 bits");
    return value;
  }

  Token number() {
    Token token{Token::Kind::Integer, {}, 0, line};
    size_t begin = at;
    auto run = [&](auto accept) {
      while (at < text.size() && accept(peek()))
        ++at;
    };
    auto alnum = [](char c) { return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    char second = char(peek(1) | 0x20);
    if (peek() == '0' && (second == 'x' || second == 'f' || second == 'd' || second == 'b')) {
      at += 2;
      size_t from = at;
      run(alnum);
      size_t end = at;
      if (end > from && (text[end - 1] | 0x20) == 'u' && (second == 'x' || second == 'b'))
        --end;
      token.bits = digits(from, end, second == 'b' ? 2 : 16);
      if ((second == 'f' && end - from != 8) || (second == 'd' && end - from != 16))
        fail("'" + std::string(text.substr(begin, at - begin)) + "' has the wrong number of digits");
      token.kind = second == 'f' ? Token::Kind::Single : second == 'd' ? Token::Kind::Double : Token::Kind::Integer;
    } else {
      run(isDigit);
      bool fraction = peek() == '.' && isDigit(peek(1));
      bool exponent = (peek() | 0x20) == 'e';
      if (fraction || exponent) {
        double value = 0;
        auto [last, error] = std::from_chars(text.data() + begin, text.data() + text.size(), value);
        if (error != std::errc())
          fail("malformed number");
        at = size_t(last - text.data());
        token.kind = Token::Kind::Double;
        token.bits = std::bit_cast<uint64_t>(value);
      } else {
        size_t end = at;
        if (peek() == 'U' || peek() == 'u')
          ++at;
        bool octal = text[begin] == '0' && end - begin > 1;
        token.bits = digits(begin, end, octal ? 8 : 10);
      }
      if (isWordStart(peek()) && peek() != '.')
        fail("malformed number");
    }
    token.text = text.substr(begin, at - begin);
    return token;
  }

  void next() {
    Token token{Token::Kind::Mark, text.substr(at, 1), 0, line};
    char c = peek();
    if (isDigit(c)) {
      token = number();
    } else if (isWordStart(c)) {
      size_t begin = at;
      while (isWord(peek()) || (peek() == ':' && peek(1) == ':' && isWord(peek(2))))
        at += peek() == ':' ? 2 : 1;
      token.kind = Token::Kind::Word;
      token.text = text.substr(begin, at - begin);
    } else if (c == '"') {
      size_t begin = ++at;
      while (peek() != '"' || text[at - 1] == '\\') {
        if (at >= text.size() || peek() == '\n')
          fail("string is not closed");
        ++at;
      }
      token.kind = Token::Kind::String;
      token.text = text.substr(begin, at++ - begin);
    } else if (std::string_view("{}[]()<>,;:+-*|!@=&~").find(c) != std::string_view::npos && c != '\0') {
      ++at;
    } else {
      fail("unexpected character");
    }
    tokens.push_back(token);
  }
};
} // namespace

std::vector<Token> tokenize(std::string_view text) {
  Lexer lexer{text, 0, 1, {}};
  for (lexer.skipBlanks(); lexer.at < text.size(); lexer.skipBlanks())
    lexer.next();
  lexer.tokens.push_back(Token{Token::Kind::End, {}, 0, lexer.line});
  return std::move(lexer.tokens);
}

std::string sourceLine(const Token &first, const Token &last) {
  std::string result;
  const char *end = last.text.data() + last.text.size();
  for (const char *p = first.text.data(); p < end; ++p) {
    bool blank = *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r';
    if (!blank)
      result += *p;
    else if (!result.empty() && result.back() != ' ')
      result += ' ';
    if (result.size() > 110)
      return result + "...";
  }
  return result;
}

} // namespace ptxemu
