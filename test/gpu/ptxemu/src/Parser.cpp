// SPDX-License-Identifier: Apache-2.0

#include "Parser.h"
#include "FunctionParser.h"
#include <algorithm>
#include <bit>

namespace ptxemu {

//===--------------------------------------------------------------------===//
// TokenStream
//===--------------------------------------------------------------------===//

static std::string shown(const Token &token) {
  return token.kind == Token::Kind::End ? "the end of the text" : "'" + std::string(token.text.substr(0, 40)) + "'";
}

void TokenStream::fail(const std::string &what) const { throw Error(what, peek().line); }

void TokenStream::expectMark(char mark) {
  if (!takeMark(mark))
    fail(std::string("expected '") + mark + "', found " + shown(peek()));
}

std::string_view TokenStream::expectName(const char *what) {
  if (peek().kind != Token::Kind::Word || peek().text.front() == '.')
    fail(std::string("expected ") + what + ", found " + shown(peek()));
  return next().text;
}

uint64_t TokenStream::expectInteger(const char *what, uint64_t most) {
  if (peek().kind != Token::Kind::Integer || peek().bits > most)
    fail(std::string("expected ") + what + " of at most " + std::to_string(most) + ", found " + shown(peek()));
  return next().bits;
}

void TokenStream::skipLine(const Token &token) {
  int line = token.line;
  while (!atEnd() && peek().line == line)
    next();
}

void TokenStream::skipBalanced(char open, char close) {
  const Token &first = peek();
  for (int depth = 1; depth > 0;) {
    const Token &token = next();
    if (token.kind == Token::Kind::End)
      throw Error(std::string("'") + open + "' is not closed", first.line);
    depth += token.is(open) ? 1 : token.is(close) ? -1 : 0;
  }
}

//===--------------------------------------------------------------------===//
// Declarations
//===--------------------------------------------------------------------===//

static constexpr uint64_t variableLimit = uint64_t(1) << 31;

Declaration parseDeclaration(TokenStream &in) {
  Declaration result;
  result.line = in.peek().line;
  while (in.peek().kind == Token::Kind::Word && in.peek().text.front() == '.') {
    std::string_view word = in.next().text.substr(1);
    Type type = typeNamed(word);
    if (word == "align") {
      uint64_t alignment = in.expectInteger("an alignment", 65536);
      if (!std::has_single_bit(alignment))
        in.fail("alignment must be a power of two");
      // `.ptr .align 16` speaks of what a pointer points to.
      result.alignment = std::max(result.alignment, uint32_t(alignment));
    } else if (word == "v2" || word == "v4" || word == "v8") {
      result.vectorParts = uint32_t(word[1] - '0');
    } else if (word == "ptr") {
      uint32_t own = result.alignment;
      while (in.peek().is(".global") || in.peek().is(".const") || in.peek().is(".local") || in.peek().is(".shared") ||
             in.peek().is(".align") || in.peek().is(".param"))
        if (in.next().text == ".align")
          in.expectInteger("an alignment", 65536);
      result.alignment = own;
    } else if (word == "attribute") {
      in.expectMark('(');
      in.skipBalanced('(', ')');
    } else if (word == "reg") {
      result.isRegister = true;
    } else if (word == "param") {
      result.isRegister = false;
    } else if (type != Type::None && result.type == Type::None) {
      result.type = type;
    } else {
      in.fail("'." + std::string(word) + "' is unknown or not supported in a declaration");
    }
  }
  if (result.type == Type::None)
    in.fail("expected a type in a declaration");
  result.name = in.expectName("a name");
  result.count = result.vectorParts;
  while (in.takeMark('[')) {
    if (in.takeMark(']')) {
      if (result.unsizedArray)
        in.fail("only one dimension may be open");
      result.unsizedArray = true;
      continue;
    }
    uint64_t extent = in.expectInteger("an array size", variableLimit);
    if (extent && result.count > variableLimit / extent)
      in.fail("array is larger than 2^31 elements");
    result.count *= extent;
    in.expectMark(']');
  }
  if (result.unsizedArray)
    result.count = 0;
  if (result.bytes() > variableLimit)
    in.fail("variable is larger than 2^31 bytes");
  return result;
}

std::vector<Declaration> parseFormals(TokenStream &in) {
  std::vector<Declaration> formals;
  if (!in.takeMark('('))
    return formals;
  while (!in.takeMark(')')) {
    if (!formals.empty())
      in.expectMark(',');
    if (!in.peek().is(".param") && !in.peek().is(".reg"))
      in.fail("expected a parameter, found " + shown(in.peek()));
    formals.push_back(parseDeclaration(in));
  }
  return formals;
}

//===--------------------------------------------------------------------===//
// Modules
//===--------------------------------------------------------------------===//

std::unique_ptr<ModuleImpl> ModuleParser::parse() {
  module = std::make_unique<ModuleImpl>();
  TokenStream in(tokens, 0, tokens.size());
  while (!in.atEnd())
    parseTopLevel(in);
  if (module->target.empty())
    throw Error("expected a .target directive", tokens.back().line);
  for (const FunctionDeclaration &declaration : functions) {
    if (!declaration.isKernel || !declaration.hasBody)
      continue;
    auto code = std::make_unique<Code>();
    Kernel kernel = buildKernel(*this, functionNames.at(declaration.name), *code);
    module->kernels.push_back(std::move(kernel));
    module->codes.push_back(std::move(code));
  }
  return std::move(module);
}

void ModuleParser::parseTarget(TokenStream &in) {
  int line = in.peek().line;
  std::string_view name = in.expectName("a target");
  if (!name.starts_with("sm_"))
    throw Error("target '" + std::string(name) + "' is not supported: expected sm_NN", line);
  module->target = name;
  for (char c : name.substr(3)) {
    if (c < '0' || c > '9')
      break;
    module->computeCapability = module->computeCapability * 10 + (c - '0');
    if (module->computeCapability > 999)
      in.fail("target '" + std::string(name) + "' is unknown");
  }
  while (in.takeMark(','))
    in.expectName("a target option");
}

void ModuleParser::parseTopLevel(TokenStream &in) {
  const Token &first = in.peek();
  if (first.is(".version")) {
    in.next();
    in.next();
  } else if (first.is(".target")) {
    in.next();
    parseTarget(in);
  } else if (first.is(".address_size")) {
    in.next();
    if (in.expectInteger("an address size", 64) != 64)
      in.fail("only 64-bit addresses are supported");
  } else if (first.is(".file") || first.is(".loc")) {
    in.skipLine(first);
  } else if (first.is(".section")) {
    while (!in.peek().is('{'))
      if (in.next().kind == Token::Kind::End)
        throw Error("section has no body", first.line);
    in.next();
    in.skipBalanced('{', '}');
  } else if (first.is(".pragma")) {
    while (!in.takeMark(';'))
      if (in.next().kind == Token::Kind::End)
        throw Error("pragma is not closed", first.line);
  } else if (in.takeMark(';')) {
  } else {
    bool isExtern = false;
    while (true) {
      if (in.takeWord(".extern"))
        isExtern = true;
      else if (!in.takeWord(".visible") && !in.takeWord(".weak") && !in.takeWord(".common"))
        break;
    }
    const Token &word = in.next();
    if (word.is(".entry"))
      parseFunction(in, true);
    else if (word.is(".func"))
      parseFunction(in, false);
    else if (word.is(".global"))
      parseVariables(in, isExtern, false);
    else if (word.is(".const"))
      parseVariables(in, isExtern, true);
    else if (word.is(".shared")) {
      do {
        Declaration declaration = parseDeclaration(in);
        sharedNames[declaration.name] = {declaration, isExtern};
      } while (in.takeMark(','));
      in.expectMark(';');
    } else
      throw Error("expected a directive of a module, found " + shown(word), word.line);
  }
}

//===--------------------------------------------------------------------===//
// Variables
//===--------------------------------------------------------------------===//

void ModuleParser::parseVariables(TokenStream &in, bool isExtern, bool isConstant) {
  Declaration declaration = parseDeclaration(in);
  if (isExtern)
    throw Error("extern variable '" + std::string(declaration.name) + "' is not supported: modules are not linked", declaration.line);
  VariableImage image;
  image.line = declaration.line;
  if (in.takeMark('='))
    parseInitializer(in, image, declaration);
  in.expectMark(';');
  image.info = {std::string(declaration.name), declaration.bytes(), declaration.natural(), isConstant};
  if (declaration.unsizedArray)
    image.info.size = image.bytes.size();
  if (image.bytes.size() > image.info.size)
    throw Error("initializer of '" + image.info.name + "' is larger than the variable", image.line);
  if (!variableNames.emplace(declaration.name, uint32_t(module->variables.size())).second)
    throw Error("variable '" + image.info.name + "' is declared twice", image.line);
  module->variables.push_back(image.info);
  module->images.push_back(std::move(image));
}

void ModuleParser::parseInitializer(TokenStream &in, VariableImage &image, const Declaration &declaration) {
  int depth = 0;
  do {
    while (in.takeMark('{'))
      if (++depth > 16)
        in.fail("initializer is nested too deeply");
    if (!in.peek().is('}'))
      parseInitialValue(in, image, declaration.type);
    while (depth > 0 && in.takeMark('}'))
      --depth;
  } while (in.takeMark(',') || depth > 0);
}

void ModuleParser::parseInitialValue(TokenStream &in, VariableImage &image, Type type) {
  uint64_t value = 0;
  bool minus = in.takeMark('-');
  const Token &token = in.next();
  uint32_t bytes = typeBytes(type);
  if (token.kind == Token::Kind::Integer) {
    value = minus ? 0 - token.bits : token.bits;
  } else if (token.kind == Token::Kind::Single || token.kind == Token::Kind::Double) {
    double number = token.kind == Token::Kind::Single ? double(std::bit_cast<float>(uint32_t(token.bits))) : std::bit_cast<double>(token.bits);
    number = minus ? -number : number;
    value = type == Type::F64   ? std::bit_cast<uint64_t>(number)
            : type == Type::F32 ? std::bit_cast<uint32_t>(float(number))
                                : token.bits;
  } else if (token.kind == Token::Kind::Word && !minus) {
    // A variable's address: name, generic(name), either with an addend.
    std::string_view name = token.text;
    bool generic = name == "generic" && in.takeMark('(');
    if (generic)
      name = in.expectName("a variable");
    if (generic)
      in.expectMark(')');
    auto found = variableNames.find(name);
    if (found == variableNames.end())
      throw Error("initializer names '" + std::string(name) + "', which is not a variable declared before", token.line);
    if (bytes != 8)
      throw Error("an address needs 64 bits", token.line);
    uint64_t addend = in.takeMark('+') ? in.expectInteger("an offset", variableLimit) : 0;
    image.relocations.push_back({image.bytes.size(), found->second, addend});
  } else {
    throw Error("expected an initial value, found " + shown(token), token.line);
  }
  if (image.bytes.size() + bytes > variableLimit)
    throw Error("initializer is too large", token.line);
  for (uint32_t i = 0; i < bytes; ++i)
    image.bytes.push_back(uint8_t(value >> (8 * i)));
}

bool ModuleParser::findVariable(std::string_view name, CodeBuilder &builder, std::map<std::string_view, Symbol> &sharedPlaces,
                                Symbol &symbol) const {
  if (auto found = variableNames.find(name); found != variableNames.end()) {
    symbol.kind = Symbol::Kind::Variable;
    symbol.address = found->second;
    symbol.bytes = module->variables[found->second].size;
    return true;
  }
  auto found = sharedNames.find(name);
  if (found == sharedNames.end())
    return false;
  auto [place, isNew] = sharedPlaces.try_emplace(name);
  if (isNew) {
    const Declaration &declaration = found->second.declaration;
    bool dynamic = found->second.isExtern || declaration.unsizedArray;
    place->second.kind = dynamic ? Symbol::Kind::DynamicShared : Symbol::Kind::Shared;
    place->second.bytes = declaration.bytes();
    if (dynamic)
      builder.code.dynamicAlignment = std::max<uint32_t>({builder.code.dynamicAlignment, declaration.natural(), 1u});
    else
      place->second.address = builder.allocateShared(declaration.bytes(), declaration.natural(), declaration.line);
  }
  symbol = place->second;
  return true;
}

//===--------------------------------------------------------------------===//
// Functions
//===--------------------------------------------------------------------===//

int ModuleParser::findFunction(std::string_view name) const {
  auto found = functionNames.find(name);
  return found == functionNames.end() ? -1 : found->second;
}

void ModuleParser::parseKernelDirectives(TokenStream &in, Kernel &kernel) {
  auto extents = [&](Dim3 &into) {
    into = {1, 1, 1};
    into.x = uint32_t(in.expectInteger("an extent", 1u << 20));
    if (in.takeMark(','))
      into.y = uint32_t(in.expectInteger("an extent", 1u << 20));
    if (in.takeMark(','))
      into.z = uint32_t(in.expectInteger("an extent", 1u << 20));
  };
  while (in.peek().kind == Token::Kind::Word) {
    std::string_view word = in.next().text;
    if (word == ".maxntid")
      extents(kernel.maximumThreads);
    else if (word == ".reqntid")
      extents(kernel.requiredThreads);
    else if (word == ".reqnctapercluster")
      extents(kernel.requiredCluster);
    else if (word == ".minnctapersm" || word == ".maxnctapersm")
      kernel.minimumCtasPerSm = uint32_t(in.expectInteger("a number of CTAs", 1u << 16));
    else if (word == ".maxnreg")
      kernel.maximumRegisters = uint32_t(in.expectInteger("a number of registers", 1u << 16));
    else if (word == ".maxclusterrank")
      in.expectInteger("a number of CTAs", 1u << 16);
    else if (word == ".explicitcluster" || word == ".noreturn")
      ;
    else if (word == ".pragma") {
      if (in.next().kind != Token::Kind::String)
        in.fail("expected a string after .pragma");
      in.takeMark(';');
    } else
      in.fail("directive '" + std::string(word) + "' is unknown or not supported");
  }
}

void ModuleParser::parseFunction(TokenStream &in, bool isKernel) {
  FunctionDeclaration made;
  made.isKernel = isKernel;
  made.line = in.peek().line;
  if (!isKernel) {
    if (in.takeWord(".attribute")) {
      in.expectMark('(');
      in.skipBalanced('(', ')');
    }
    made.returns = parseFormals(in);
  }
  made.name = in.expectName("a function's name");
  made.parameters = parseFormals(in);
  parseKernelDirectives(in, made.kernel);
  if (!in.takeMark(';')) {
    in.expectMark('{');
    made.hasBody = true;
    made.bodyBegin = in.at();
    in.skipBalanced('{', '}');
    made.bodyEnd = in.at() - 1;
  }
  made.kernel.name = made.name;
  if (isKernel)
    for (const Declaration &formal : made.parameters) {
      if (formal.isRegister)
        throw Error("parameters of kernels must be .param", formal.line);
      Parameter parameter{std::string(formal.name), uint32_t(formal.bytes()), formal.natural(), 0};
      parameter.offset = (made.kernel.parameterBytes + parameter.alignment - 1) / parameter.alignment * parameter.alignment;
      made.kernel.parameterBytes = parameter.offset + parameter.size;
      if (made.kernel.parameterBytes > 32764 || formal.bytes() > 32764)
        throw Error("parameters of '" + made.kernel.name + "' are larger than 32764 bytes", formal.line);
      made.kernel.parameters.push_back(parameter);
    }
  auto [place, isNew] = functionNames.emplace(made.name, int(functions.size()));
  if (isNew) {
    functions.push_back(std::move(made));
  } else if (made.hasBody) {
    if (functions[size_t(place->second)].hasBody)
      throw Error("function '" + std::string(made.name) + "' is defined twice", made.line);
    functions[size_t(place->second)] = std::move(made);
  }
}

} // namespace ptxemu
