// SPDX-License-Identifier: Apache-2.0

#include "passes/onnx/Dim.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/STLExtras.h"
#include <algorithm>

using namespace mlir;

namespace msa::onnx {

// Hostile files hold dims near 2^63: sums and products wrap, and the walk refuses tensors too large to exist.
static int64_t wrapAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
static int64_t wrapMul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

std::optional<int64_t> Dim::getConstant() const {
  if (terms.empty())
    return 0;
  if (terms.size() == 1 && terms.begin()->first.empty())
    return terms.begin()->second;
  return std::nullopt;
}

void Dim::addTerm(const Monomial &monomial, int64_t coefficient) {
  auto [it, inserted] = terms.try_emplace(monomial, coefficient);
  if (!inserted)
    it->second = wrapAdd(it->second, coefficient);
  if (it->second == 0)
    terms.erase(it);
}

Dim Dim::operator+(const Dim &other) const {
  Dim sum = *this;
  for (const auto &[monomial, coefficient] : other.terms)
    sum.addTerm(monomial, coefficient);
  return sum;
}

Dim Dim::operator-(const Dim &other) const { return *this + other * Dim(-1); }

Dim Dim::operator*(const Dim &other) const {
  Dim product;
  for (const auto &[lhs, a] : terms)
    for (const auto &[rhs, b] : other.terms) {
      Monomial merged;
      std::merge(lhs.begin(), lhs.end(), rhs.begin(), rhs.end(), std::back_inserter(merged));
      product.addTerm(merged, wrapMul(a, b));
    }
  return product;
}

/// The greatest term: by degree, then by the least atoms. An order that products respect, as division needs it.
static const std::pair<const Dim::Monomial, int64_t> &getLeading(const Dim &dim) {
  return *std::max_element(dim.getTerms().begin(), dim.getTerms().end(), [](const auto &a, const auto &b) {
    if (a.first.size() != b.first.size())
      return a.first.size() < b.first.size();
    return a.first > b.first;
  });
}

std::optional<Dim> Dim::divideExactly(const Dim &divisor) const {
  if (divisor.terms.empty())
    return std::nullopt;
  const auto &[bottom, factor] = getLeading(divisor);
  Dim quotient, rest = *this;
  while (!rest.terms.empty()) {
    const auto &[top, coefficient] = getLeading(rest);
    if (factor != -1 && coefficient % factor != 0)
      return std::nullopt;
    if (!std::includes(top.begin(), top.end(), bottom.begin(), bottom.end()))
      return std::nullopt;
    Dim term;
    Monomial remaining;
    std::set_difference(top.begin(), top.end(), bottom.begin(), bottom.end(), std::back_inserter(remaining));
    term.addTerm(remaining, factor == -1 ? wrapMul(coefficient, -1) : coefficient / factor);
    quotient = quotient + term;
    rest = rest - term * divisor;
  }
  return quotient;
}

Dim getNumElements(ArrayRef<Dim> shape) {
  Dim product(1);
  for (const Dim &dim : shape)
    product = product * dim;
  return product;
}

Dim DimSpace::getAtom(Value index, bool nonNegative) {
  if (auto constant = index.getDefiningOp<arith::ConstantIndexOp>())
    return Dim(constant.value());
  auto [it, inserted] = ids.try_emplace(index, values.size());
  if (inserted) {
    values.push_back(index);
    signs.push_back(nonNegative);
    made[Dim::atom(it->second)] = index;
  }
  return Dim::atom(it->second);
}

Dim DimSpace::normalize(const Dim &dim) const {
  if (substitutions.empty())
    return dim;
  Dim result;
  bool changed = false;
  for (const auto &[monomial, coefficient] : dim.getTerms()) {
    Dim product(coefficient);
    for (unsigned id : monomial) {
      auto it = substitutions.find(id);
      changed |= it != substitutions.end();
      product = product * (it == substitutions.end() ? Dim::atom(id) : it->second);
    }
    result = result + product;
  }
  return changed ? normalize(result) : dim;
}

Shape DimSpace::normalize(ArrayRef<Dim> shape) const {
  Shape result;
  for (const Dim &dim : shape)
    result.push_back(normalize(dim));
  return result;
}

bool DimSpace::isEqual(ArrayRef<Dim> lhs, ArrayRef<Dim> rhs) const {
  return lhs.size() == rhs.size() &&
         llvm::all_of(llvm::zip(lhs, rhs), [&](auto pair) { return isEqual(std::get<0>(pair), std::get<1>(pair)); });
}

bool DimSpace::isNonNegative(const Dim &dim) const {
  return llvm::all_of(normalize(dim).getTerms(), [&](const auto &term) {
    return term.second >= 0 && llvm::all_of(term.first, [&](unsigned id) { return signs[id]; });
  });
}

void DimSpace::unify(const Dim &lhs, const Dim &rhs) {
  Dim a = normalize(lhs), b = normalize(rhs);
  if (a == b)
    return;
  // An atom alone on one side, and not within the other, is replaced: the younger one, so that values stay defined
  // before use.
  auto loneAtom = [](const Dim &dim) -> std::optional<unsigned> {
    if (dim.getTerms().size() != 1 || dim.getTerms().begin()->second != 1 || dim.getTerms().begin()->first.size() != 1)
      return std::nullopt;
    return dim.getTerms().begin()->first.front();
  };
  auto contains = [](const Dim &dim, unsigned id) {
    return llvm::any_of(dim.getTerms(), [&](const auto &term) { return llvm::is_contained(term.first, id); });
  };
  std::optional<unsigned> left = loneAtom(a), right = loneAtom(b);
  if (left && (!right || *left > *right) && !contains(b, *left))
    substitutions[*left] = b;
  else if (right && !contains(a, *right))
    substitutions[*right] = a;
}

Dim DimSpace::getFunction(Function function, const Dim &a, const Dim &b, const Dim &c, bool nonNegative) {
  auto [it, inserted] = functions.try_emplace(Key{function, a, b, c});
  if (!inserted)
    return it->second;
  Location at = getLoc();
  Value x = getValue(a, at), y = getValue(b, at), result;
  auto fromBool = [&](arith::CmpIPredicate predicate) {
    Value bit = arith::CmpIOp::create(builder, at, predicate, x, y);
    return arith::IndexCastUIOp::create(builder, at, builder.getIndexType(), bit).getResult();
  };
  switch (function) {
  case Function::Min:
    result = arith::MinSIOp::create(builder, at, x, y);
    break;
  case Function::Max:
    result = arith::MaxSIOp::create(builder, at, x, y);
    break;
  case Function::Divide:
    result = arith::DivSIOp::create(builder, at, x, y);
    break;
  case Function::CeilDivide:
    result = arith::CeilDivSIOp::create(builder, at, x, y);
    break;
  case Function::Modulo: {
    Value quotient = arith::FloorDivSIOp::create(builder, at, x, y);
    Value whole = arith::MulIOp::create(builder, at, quotient, y);
    result = arith::SubIOp::create(builder, at, x, whole);
    break;
  }
  case Function::Equal:
    result = fromBool(arith::CmpIPredicate::eq);
    break;
  case Function::Less:
    result = fromBool(arith::CmpIPredicate::slt);
    break;
  case Function::LessOrEqual:
    result = fromBool(arith::CmpIPredicate::sle);
    break;
  case Function::Select: {
    Value zero = getValue(Dim(0), at), otherwise = getValue(c, at);
    Value bit = arith::CmpIOp::create(builder, at, arith::CmpIPredicate::ne, x, zero);
    result = arith::SelectOp::create(builder, at, bit, y, otherwise);
    break;
  }
  }
  Dim dim = getAtom(result, nonNegative);
  functions[Key{function, a, b, c}] = dim;
  return dim;
}

Dim DimSpace::min(const Dim &lhs, const Dim &rhs) {
  Dim a = normalize(lhs), b = normalize(rhs);
  if (b < a)
    std::swap(a, b);
  if (auto x = a.getConstant(), y = b.getConstant(); x && y)
    return std::min(*x, *y);
  if (isNonNegative(b - a))
    return a;
  if (isNonNegative(a - b))
    return b;
  return getFunction(Function::Min, a, b, 0, isNonNegative(a) && isNonNegative(b));
}

Dim DimSpace::max(const Dim &lhs, const Dim &rhs) {
  Dim a = normalize(lhs), b = normalize(rhs);
  if (b < a)
    std::swap(a, b);
  if (auto x = a.getConstant(), y = b.getConstant(); x && y)
    return std::max(*x, *y);
  if (isNonNegative(b - a))
    return b;
  if (isNonNegative(a - b))
    return a;
  return getFunction(Function::Max, a, b, 0, isNonNegative(a) || isNonNegative(b));
}

Dim DimSpace::divide(const Dim &lhs, const Dim &rhs) {
  Dim a = normalize(lhs), b = normalize(rhs);
  if (std::optional<Dim> exact = a.divideExactly(b))
    return *exact;
  if (auto x = a.getConstant(), y = b.getConstant(); x && y && *y != 0 && *y != -1)
    return *x / *y;
  return getFunction(Function::Divide, a, b, 0, isNonNegative(a) && isNonNegative(b));
}

Dim DimSpace::ceilDivide(const Dim &lhs, const Dim &rhs) {
  Dim a = normalize(lhs), b = normalize(rhs);
  if (std::optional<Dim> exact = a.divideExactly(b))
    return *exact;
  if (auto x = a.getConstant(), y = b.getConstant(); x && y && *y != 0) {
    int64_t quotient = *x / *y;
    return quotient + ((*x % *y != 0 && (*x < 0) == (*y < 0)) ? 1 : 0);
  }
  return getFunction(Function::CeilDivide, a, b, 0, isNonNegative(a) && isNonNegative(b));
}

Dim DimSpace::modulo(const Dim &lhs, const Dim &rhs) {
  Dim a = normalize(lhs), b = normalize(rhs);
  if (a.divideExactly(b))
    return 0;
  if (auto x = a.getConstant(), y = b.getConstant(); x && y && *y != 0) {
    int64_t rest = *x % *y;
    return rest != 0 && (rest < 0) != (*y < 0) ? rest + *y : rest;
  }
  return getFunction(Function::Modulo, a, b, 0, isNonNegative(b));
}

Dim DimSpace::compare(Compare kind, const Dim &lhs, const Dim &rhs) {
  Dim a = normalize(lhs), b = normalize(rhs), gap = b - a;
  std::optional<int64_t> known = gap.getConstant();
  bool certainlyLess = isNonNegative(gap - 1), certainlyMore = isNonNegative(a - b - 1);
  switch (kind) {
  case Compare::Equal:
    if (known || certainlyLess || certainlyMore)
      return known && *known == 0;
    return getFunction(Function::Equal, a, b, 0, true);
  case Compare::Less:
    if (known || certainlyLess || certainlyMore || isNonNegative(a - b))
      return known ? *known > 0 : certainlyLess;
    return getFunction(Function::Less, a, b, 0, true);
  case Compare::LessOrEqual:
    if (known || certainlyMore || isNonNegative(gap))
      return known ? *known >= 0 : !certainlyMore;
    return getFunction(Function::LessOrEqual, a, b, 0, true);
  }
  llvm_unreachable("a comparison without a case");
}

Dim DimSpace::select(const Dim &condition, const Dim &ifTrue, const Dim &ifFalse) {
  if (std::optional<int64_t> known = normalize(condition).getConstant())
    return *known ? ifTrue : ifFalse;
  if (isEqual(ifTrue, ifFalse))
    return ifTrue;
  return getFunction(Function::Select, normalize(condition), normalize(ifTrue), normalize(ifFalse),
                     isNonNegative(ifTrue) && isNonNegative(ifFalse));
}

Value DimSpace::getValue(const Dim &original, Location at) {
  Dim dim = normalize(original);
  if (std::optional<int64_t> constant = dim.getConstant())
    dim = Dim(*constant);
  auto found = made.find(dim);
  if (found != made.end())
    return found->second;
  Value sum;
  if (std::optional<int64_t> constant = dim.getConstant()) {
    sum = arith::ConstantIndexOp::create(builder, at, *constant);
  } else {
    for (const auto &[monomial, coefficient] : dim.getTerms()) {
      Value product;
      for (unsigned id : monomial)
        product = product ? arith::MulIOp::create(builder, at, product, values[id]).getResult() : values[id];
      if (coefficient != 1 || !product) {
        Value factor = getValue(Dim(coefficient), at);
        product = product ? arith::MulIOp::create(builder, at, product, factor).getResult() : factor;
      }
      sum = sum ? arith::AddIOp::create(builder, at, sum, product).getResult() : product;
    }
  }
  made[dim] = sum;
  return sum;
}

OpFoldResult DimSpace::getFoldResult(const Dim &dim, Location at) {
  if (std::optional<int64_t> constant = normalize(dim).getConstant())
    return builder.getIndexAttr(*constant);
  return getValue(dim, at);
}

SmallVector<OpFoldResult> DimSpace::getFoldResults(ArrayRef<Dim> shape, Location at) {
  SmallVector<OpFoldResult> results;
  for (const Dim &dim : shape)
    results.push_back(getFoldResult(dim, at));
  return results;
}

} // namespace msa::onnx
