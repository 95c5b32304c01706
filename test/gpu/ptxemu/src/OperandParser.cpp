// SPDX-License-Identifier: Apache-2.0
//
// Operands of instructions, and what their names stand for.

#include "BodyParser.h"

namespace ptxemu {

static const std::map<std::string_view, SpecialRegister> &specialRegisters() {
  using S = SpecialRegister;
  static const std::map<std::string_view, S> table = {
      {"%tid.x", S::TidX}, {"%tid.y", S::TidY}, {"%tid.z", S::TidZ}, {"%ntid.x", S::NtidX}, {"%ntid.y", S::NtidY}, {"%ntid.z", S::NtidZ},
      {"%ctaid.x", S::CtaidX}, {"%ctaid.y", S::CtaidY}, {"%ctaid.z", S::CtaidZ}, {"%nctaid.x", S::NctaidX}, {"%nctaid.y", S::NctaidY},
      {"%nctaid.z", S::NctaidZ}, {"%laneid", S::LaneId}, {"%warpid", S::WarpId}, {"%nwarpid", S::NwarpId}, {"%smid", S::SmId},
      {"%nsmid", S::NsmId}, {"%gridid", S::GridId}, {"%lanemask_eq", S::LanemaskEq}, {"%lanemask_le", S::LanemaskLe},
      {"%lanemask_lt", S::LanemaskLt}, {"%lanemask_ge", S::LanemaskGe}, {"%lanemask_gt", S::LanemaskGt},
      {"%clusterid.x", S::ClusterIdX}, {"%clusterid.y", S::ClusterIdY}, {"%clusterid.z", S::ClusterIdZ},
      {"%nclusterid.x", S::NclusterIdX}, {"%nclusterid.y", S::NclusterIdY}, {"%nclusterid.z", S::NclusterIdZ},
      {"%cluster_ctaid.x", S::ClusterCtaidX}, {"%cluster_ctaid.y", S::ClusterCtaidY}, {"%cluster_ctaid.z", S::ClusterCtaidZ},
      {"%cluster_nctaid.x", S::ClusterNctaidX}, {"%cluster_nctaid.y", S::ClusterNctaidY}, {"%cluster_nctaid.z", S::ClusterNctaidZ},
      {"%cluster_ctarank", S::ClusterCtarank}, {"%cluster_nctarank", S::ClusterNctarank}, {"%is_explicit_cluster", S::IsExplicitCluster},
      {"%dynamic_smem_size", S::DynamicSmemSize}, {"%total_smem_size", S::TotalSmemSize}, {"%aggr_smem_size", S::AggrSmemSize},
      {"%clock", S::Clock}, {"%clock_hi", S::ClockHi}, {"%clock64", S::Clock64}, {"%globaltimer", S::GlobalTimer},
      {"%globaltimer_lo", S::GlobalTimerLo}, {"%globaltimer_hi", S::GlobalTimerHi}};
  return table;
}

void bind(Operand &operand, const Symbol &symbol) {
  if (symbol.kind == Symbol::Kind::Register) {
    operand.kind = Operand::Kind::Register;
    operand.type = symbol.type;
    operand.slot = symbol.slot;
  } else {
    operand.kind = Operand::Kind::Name;
    operand.symbol = symbol;
    operand.hasSymbol = true;
  }
}

bool BodyParser::lookUp(std::string_view name, Operand &operand) {
  for (int scope = current; scope >= 0; scope = scopes[size_t(scope)].parent) {
    Scope &here = scopes[size_t(scope)];
    if (auto found = here.symbols.find(name); found != here.symbols.end()) {
      bind(operand, found->second);
      return true;
    }
    size_t digits = name.size();
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
      --digits;
    if (digits == name.size() || name.size() - digits > 8)
      continue;
    auto range = here.ranges.find(name.substr(0, digits));
    if (range == here.ranges.end() || uint64_t(std::stoul(std::string(name.substr(digits)))) >= range->second.count)
      continue;
    Symbol symbol;
    symbol.type = range->second.type;
    symbol.slot = kernel.builder.allocateRegister(symbol.type);
    here.symbols[name] = symbol;
    bind(operand, symbol);
    return true;
  }
  Symbol symbol;
  if (kernel.module.findVariable(name, kernel.builder, kernel.sharedPlaces, symbol)) {
    bind(operand, symbol);
    return true;
  }
  if (name == "WARP_SZ") {
    operand.kind = Operand::Kind::Integer;
    operand.bits = 32;
    return true;
  }
  if (auto special = specialRegisters().find(name); special != specialRegisters().end()) {
    bool wide = special->second == SpecialRegister::Clock64 || special->second == SpecialRegister::GlobalTimer ||
                special->second == SpecialRegister::GridId;
    operand.kind = Operand::Kind::Register;
    operand.type = wide ? Type::B64 : Type::B32;
    operand.slot = kernel.builder.special(special->second, wide);
    // Registers that change are marked, so that mov reads them anew.
    operand.bits = special->second >= SpecialRegister::Clock ? uint64_t(special->second) : 0;
    return true;
  }
  return false;
}

Operand BodyParser::address(int depth) {
  Operand result;
  result.kind = Operand::Kind::Address;
  const Token &first = in.peek();
  if (first.kind == Token::Kind::Integer) {
    result.bits = in.next().bits;
  } else {
    std::string_view name = in.expectName("a register or variable");
    Operand base;
    if (!lookUp(name, base))
      throw Error("unknown name '" + std::string(name) + "' in an address", first.line);
    result.name = name;
    if (base.kind == Operand::Kind::Integer) {
      result.bits = base.bits;
    } else if (base.hasSymbol) {
      result.symbol = base.symbol;
      result.hasSymbol = true;
    } else {
      result.type = base.type;
      result.slot = base.slot;
    }
  }
  while (in.peek().is('+') || in.peek().is('-')) {
    bool minus = in.next().is('-');
    if (in.takeMark('-'))
      minus = !minus;
    uint64_t offset = in.expectInteger("an offset", uint64_t(1) << 63);
    result.bits += minus ? 0 - offset : offset;
  }
  if (in.takeMark(',')) {
    result.elements = operandList(']', depth + 1);
    return result;
  }
  in.expectMark(']');
  return result;
}

std::vector<Operand> BodyParser::operandList(char close, int depth) {
  std::vector<Operand> list;
  if (in.takeMark(close))
    return list;
  do {
    list.push_back(operand(depth));
    if (list.size() > 1024)
      in.fail("too many operands");
  } while (in.takeMark(','));
  in.expectMark(close);
  return list;
}

Operand BodyParser::operand(int depth) {
  if (depth > 6)
    in.fail("operands are nested too deeply");
  Operand result;
  const Token &first = in.peek();
  if (in.takeMark('{') || in.takeMark('(')) {
    result.kind = Operand::Kind::Vector;
    result.parenthesized = first.is('(');
    result.elements = operandList(result.parenthesized ? ')' : '}', depth + 1);
    return result;
  }
  if (in.takeMark('['))
    return address(depth);
  if (in.takeMark('!')) {
    result = operand(depth + 1);
    result.negated = !result.negated;
    return result;
  }
  bool minus = in.takeMark('-');
  const Token &token = in.next();
  result.name = token.text;
  switch (token.kind) {
  case Token::Kind::Integer:
    result.kind = Operand::Kind::Integer;
    result.bits = minus ? 0 - token.bits : token.bits;
    return result;
  case Token::Kind::Single:
    result.kind = Operand::Kind::Single;
    result.bits = token.bits ^ (minus ? 0x80000000u : 0);
    return result;
  case Token::Kind::Double:
    result.kind = Operand::Kind::Double;
    result.bits = token.bits ^ (minus ? uint64_t(1) << 63 : 0);
    return result;
  case Token::Kind::Word:
    break;
  default:
    throw Error("expected an operand, found '" + std::string(token.text.substr(0, 40)) + "'", token.line);
  }
  if (minus)
    throw Error("'-' must stand before a number", token.line);
  if (token.text != "_" && !lookUp(token.text, result))
    result.kind = Operand::Kind::Name; // a label or a function: the instruction knows
  if (in.peek().is('+') && result.kind == Operand::Kind::Name) {
    in.next();
    result.bits = in.expectInteger("an offset", uint64_t(1) << 32);
  }
  if (in.takeMark('|')) {
    Operand pair;
    pair.kind = Operand::Kind::Pair;
    pair.elements.push_back(std::move(result));
    pair.elements.push_back(operand(depth + 1));
    return pair;
  }
  return result;
}

} // namespace ptxemu
