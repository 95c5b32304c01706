// SPDX-License-Identifier: Apache-2.0
//
// From Oniguruma's Ruby syntax to PCRE2. What differs, and what becomes of it:
//
//   \s \S            PCRE2 counts U+180E as space, Unicode does not     -> \p{White_Space} \P{White_Space}
//   \w \W            Ruby: letters, marks, digits, connectors           -> a class of the same characters
//   \h \H            Ruby: hexadecimal digit, PCRE2: horizontal space   -> [0-9A-Fa-f] and its complement
//   \p{Han}          PCRE2: script extensions, Ruby: the script         -> \p{sc:Han}
//   \p{^L} [[^a]]    both the same                                      -> as they are
//   x{n,m}+          Ruby: repeats the repeat, PCRE2: possessive        -> refused
//   x{,n}            Ruby: 0 to n, PCRE2 10.42: five characters         -> x{0,n}
//   (?m)             Ruby: dot matches newline                          -> (?s)
//   [a[bc]] [a&&b]   sets in sets                                       -> refused
//   \b \B \< \> \G \K \R \X \g \k, back references, callouts, conditions, recursion -> refused

#include "runtime/tokenizer/Regex.h"

#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>
#include <cctype>

namespace msa::rt::tok {

namespace {

constexpr const char *kWordMembers = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
// Outside of a set, Oniguruma's \w takes the superscripts and fractions of Latin-1 too, but no other numbers of that
// kind.
constexpr const char *kLoneWordMembers = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";

class Translator {
public:
  Translator(std::string_view expression, const std::string &where, std::string &out)
      : in(expression), where(where), out(out) {}

  Status run() {
    while (status.ok() && at < in.size()) {
      char c = in[at];
      if (c == '\\')
        escape(false);
      else if (c == '[')
        set();
      else if (c == '(')
        group();
      else if (c == '{')
        interval();
      else
        copy(1);
    }
    return std::move(status);
  }

private:
  void refuse(std::string_view what) {
    if (status.ok())
      status = unsupported(where + ": " + inQuotes(what) + " at byte " + std::to_string(at) +
                           " of the regular expression is not supported");
  }

  void copy(size_t count) {
    out.append(in.substr(at, count));
    at += count;
  }
  char peek(size_t ahead) const { return at + ahead < in.size() ? in[at + ahead] : '\0'; }

  void replace(size_t count, std::string_view by) {
    out.append(by);
    at += count;
  }

  void escape(bool inSet) {
    char c = peek(1);
    switch (c) {
    case 's':
      return replace(2, "\\p{White_Space}");
    case 'S':
      return replace(2, "\\P{White_Space}");
    case 'w':
      return replace(2, inSet ? kWordMembers : "[" + std::string(kLoneWordMembers) + "]");
    case 'W':
      return inSet ? refuse("\\W in a set") : replace(2, "[^" + std::string(kLoneWordMembers) + "]");
    case 'h':
      return replace(2, inSet ? "0-9A-Fa-f" : "[0-9A-Fa-f]");
    case 'H':
      return inSet ? refuse("\\H in a set") : replace(2, "[^0-9A-Fa-f]");
    case 'p':
    case 'P':
      return property();
    case 'x':
      return hexadecimal();
    case 'd': // Nd in both
    case 'D':
    case 't':
    case 'r':
    case 'n':
    case 'f':
    case 'a':
    case 'e':
      return copy(2);
    case 'v':
      return replace(2, "\\x{0B}");
    case 'A':
    case 'z':
    case 'Z':
      return inSet ? refuse(in.substr(at, 2)) : copy(2);
    case 'u':
      return unicode();
    default:
      if (c != '\0' && static_cast<unsigned char>(c) < 0x80 && !std::isalnum(static_cast<unsigned char>(c)))
        return copy(2);
      return refuse(in.substr(at, 2));
    }
  }

  void unicode() {
    if (at + 6 > in.size() || !allHexadecimal(in.substr(at + 2, 4)))
      return refuse(in.substr(at, 6));
    std::string digits(in.substr(at + 2, 4));
    replace(6, "\\x{" + digits + "}");
  }

  static bool allHexadecimal(std::string_view digits) {
    return std::all_of(digits.begin(), digits.end(),
                       [](char c) { return std::isxdigit(static_cast<unsigned char>(c)); });
  }

  void hexadecimal() {
    size_t end = at + 2;
    bool braces = peek(2) == '{';
    if (braces) {
      end = in.find('}', at);
      std::string_view digits = in.substr(at + 3, end == std::string_view::npos ? end : end - at - 3);
      if (end == std::string_view::npos || digits.empty() || digits.size() > 8 || !allHexadecimal(digits))
        return refuse(in.substr(at, 12));
      return copy(end + 1 - at);
    }
    while (end < in.size() && end < at + 4 && std::isxdigit(static_cast<unsigned char>(in[end])))
      ++end;
    // In UTF-8 Oniguruma reads \xE9 as a byte, not as a character.
    if (end == at + 2 || (end == at + 4 && peek(2) > '7'))
      return refuse(in.substr(at, 4));
    copy(end - at);
  }

  void property() {
    size_t end = peek(2) == '{' ? in.find('}', at) : std::string_view::npos;
    if (end == std::string_view::npos)
      return refuse(in.substr(at, 3));
    std::string_view name = in.substr(at + 3, end - at - 3);
    bool negated = in[at + 1] == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    static constexpr std::string_view kCategories[] = {
        "C",  "Cc", "Cf", "Cn", "Co",          "Cs",         "L",         "Ll",        "Lm",         "Lo", "Lt",
        "Lu", "M",  "Mc", "Me", "Mn",          "N",          "Nd",        "Nl",        "No",         "P",  "Pc",
        "Pd", "Pe", "Pf", "Pi", "Po",          "Ps",         "S",         "Sc",        "Sk",         "Sm", "So",
        "Z",  "Zl", "Zp", "Zs", "White_Space", "Alphabetic", "Lowercase", "Uppercase", "Ideographic"};
    static constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {
        {"Letter", "L"}, {"Mark", "M"}, {"Number", "N"}, {"Punctuation", "P"}, {"Symbol", "S"}, {"Separator", "Z"}};
    static constexpr std::string_view kScripts[] = {
        "Arabic", "Armenian", "Bengali", "Bopomofo", "Common",   "Cyrillic",  "Devanagari", "Georgian",
        "Greek",  "Han",      "Hangul",  "Hebrew",   "Hiragana", "Inherited", "Katakana",   "Khmer",
        "Lao",    "Latin",    "Tamil",   "Telugu",   "Thai",     "Tibetan"};
    std::string translated;
    for (auto &[longName, shortName] : kLongNames)
      if (name == longName)
        translated = shortName;
    if (std::find(std::begin(kCategories), std::end(kCategories), name) != std::end(kCategories))
      translated = name;
    else if (std::find(std::begin(kScripts), std::end(kScripts), name) != std::end(kScripts))
      translated = "sc:" + std::string(name);
    if (translated.empty())
      return refuse(in.substr(at, end + 1 - at));
    replace(end + 1 - at, (negated ? "\\P{" : "\\p{") + translated + "}");
  }

  void set() {
    copy(1);
    if (peek(0) == '^')
      copy(1);
    if (peek(0) == ']')
      return refuse("an empty set or a set that starts with ]");
    while (status.ok()) {
      char c = peek(0);
      if (at >= in.size()) {
        status = fileError(where + ": the regular expression has a set without its end");
        return;
      }
      if (c == ']')
        return copy(1);
      if (c == '[') // also [:name:], whose meaning differs outside of ASCII
        return refuse("[ in a set");
      if (c == '&' && peek(1) == '&')
        return refuse("&& in a set");
      if (c == '\\')
        escape(true);
      else
        copy(1);
    }
  }

  void group() {
    if (peek(1) != '?')
      return peek(1) == '*' ? refuse("(*") : copy(1);
    std::string_view rest = in.substr(at + 2);
    for (std::string_view plain : {":", "=", "!", "<=", "<!", ">"})
      if (rest.starts_with(plain))
        return copy(2 + plain.size());
    // Options: (?i) and (?i: ... ), with m for what Perl calls s.
    size_t end = rest.find_first_not_of("imx-");
    if (end == std::string_view::npos || end == 0 || (rest[end] != ':' && rest[end] != ')') ||
        rest.substr(0, end).find('x') != std::string_view::npos)
      return refuse(in.substr(at, 4));
    out.append("(?");
    for (char option : rest.substr(0, end))
      out.push_back(option == 'm' ? 's' : option);
    at += 2 + end;
    copy(1);
  }

  /// { starts a repeat only when it reads like one.
  void interval() {
    size_t end = in.find('}', at);
    std::string_view body = end == std::string_view::npos ? "" : in.substr(at + 1, end - at - 1);
    bool isRepeat = !body.empty() && body != "," &&
                    std::all_of(body.begin(), body.end(), [](char c) { return (c >= '0' && c <= '9') || c == ','; }) &&
                    std::count(body.begin(), body.end(), ',') <= 1;
    if (!isRepeat)
      return replace(1, "\\{");
    at = end + 1;
    if (peek(0) == '+')
      return refuse("+ behind a repeat in braces");
    if (peek(0) == '?' && body.find(',') == std::string_view::npos)
      return refuse("? behind {n}");
    out.append("{").append(body.starts_with(',') ? "0" : "").append(body).append("}");
  }

  std::string_view in;
  const std::string &where;
  std::string &out;
  Status status;
  size_t at = 0;
};

} // namespace

Status translateExpression(std::string_view expression, const std::string &where, std::string &out) {
  return Translator(expression, where, out).run();
}

} // namespace msa::rt::tok
