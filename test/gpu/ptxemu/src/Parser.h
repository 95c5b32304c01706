// SPDX-License-Identifier: Apache-2.0
//
// The module's declarations, and the reader of declarations that functions share. Bodies are FunctionParser's.

#pragma once

#include "Decode.h"
#include "Lexer.h"
#include <map>
#include <set>

namespace ptxemu {

/// Walks over tokens.
class TokenStream {
public:
  TokenStream(const std::vector<Token> &tokens, size_t at, size_t end) : tokens(&tokens), position(at), end(end) {}
  const Token &peek(size_t ahead = 0) const { return (*tokens)[std::min(position + ahead, tokens->size() - 1)]; }
  const Token &next() {
    const Token &token = peek();
    if (position < tokens->size() - 1)
      ++position;
    return token;
  }
  bool atEnd() const { return position >= end || peek().kind == Token::Kind::End; }
  bool takeMark(char mark) {
    if (!peek().is(mark))
      return false;
    next();
    return true;
  }
  bool takeWord(std::string_view word) {
    if (!peek().is(word))
      return false;
    next();
    return true;
  }
  void expectMark(char mark);
  std::string_view expectName(const char *what);
  /// A non-negative integer of at most `most`.
  uint64_t expectInteger(const char *what, uint64_t most);
  /// The rest of the line of `token`, for directives without a semicolon.
  void skipLine(const Token &token);
  /// Past the bracket that closes the one just taken.
  void skipBalanced(char open, char close);
  [[noreturn]] void fail(const std::string &what) const;
  size_t at() const { return position; }
  void jump(size_t to) { position = to; }
  const std::vector<Token> &all() const { return *tokens; }

private:
  const std::vector<Token> *tokens;
  size_t position, end;
};

/// `.align 8 .b8 name[16]` and the like.
struct Declaration {
  std::string_view name;
  Type type = Type::None;
  uint32_t alignment = 0; ///< 0 if not given; natural() then.
  uint64_t count = 1;     ///< Elements in all dimensions and vector parts.
  bool unsizedArray = false;
  bool isRegister = false;
  int line = 0;
  uint64_t bytes() const { return count * typeBytes(type); }
  uint32_t natural() const { return alignment ? alignment : typeBytes(type) * vectorParts; }
  uint32_t vectorParts = 1;
};

/// Reads what stands between the state space and the name, and the name with its dimensions.
Declaration parseDeclaration(TokenStream &in);

/// Formal parameters in parentheses, or nothing.
std::vector<Declaration> parseFormals(TokenStream &in);

/// A `.func` or `.entry` as declared.
struct FunctionDeclaration {
  std::string_view name;
  bool isKernel = false, hasBody = false;
  std::vector<Declaration> returns, parameters;
  size_t bodyBegin = 0, bodyEnd = 0; ///< Tokens between the braces.
  int line = 0;
  Kernel kernel; ///< What the directives of a kernel say.
};

class ModuleParser {
public:
  explicit ModuleParser(std::string_view text) : tokens(tokenize(text)) {}
  std::unique_ptr<ModuleImpl> parse();

  // For FunctionParser.
  const std::vector<Token> &tokenList() const { return tokens; }
  int findFunction(std::string_view name) const;
  const FunctionDeclaration &function(int index) const { return functions[size_t(index)]; }
  /// A module-scope variable. Shared ones get their place in the kernel that `builder` makes when they are first named.
  bool findVariable(std::string_view name, CodeBuilder &builder, std::map<std::string_view, Symbol> &sharedPlaces, Symbol &symbol) const;

private:
  struct ModuleShared {
    Declaration declaration;
    bool isExtern;
  };
  std::vector<Token> tokens;
  std::unique_ptr<ModuleImpl> module;
  std::vector<FunctionDeclaration> functions;
  std::map<std::string_view, int> functionNames;
  std::map<std::string_view, uint32_t> variableNames;
  std::map<std::string_view, ModuleShared> sharedNames;

  void parseTopLevel(TokenStream &in);
  void parseTarget(TokenStream &in);
  void parseVariables(TokenStream &in, bool isExtern, bool isConstant);
  void parseInitializer(TokenStream &in, VariableImage &image, const Declaration &declaration);
  void parseInitialValue(TokenStream &in, VariableImage &image, Type type);
  void parseFunction(TokenStream &in, bool isKernel);
  void parseKernelDirectives(TokenStream &in, Kernel &kernel);
};

} // namespace ptxemu
