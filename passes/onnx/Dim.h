// SPDX-License-Identifier: Apache-2.0
//
// Lengths and shape arithmetic of the ONNX conversion. A Dim is a polynomial with integer coefficients over run-time
// index values, so that `(past + seq) * 4` and `4 * seq + 4 * past` are one Dim and become one SSA value.

#ifndef MSA_PASSES_ONNX_DIM_H
#define MSA_PASSES_ONNX_DIM_H

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"
#include <map>
#include <optional>
#include <vector>

namespace msa::onnx {

class Dim {
public:
  /// The atoms of one product, ascending; empty for the constant term.
  using Monomial = std::vector<unsigned>;

  Dim(int64_t constant = 0) {
    if (constant != 0)
      terms[{}] = constant;
  }
  static Dim atom(unsigned id) {
    Dim dim;
    dim.terms[{id}] = 1;
    return dim;
  }

  /// The value, if it is known now.
  std::optional<int64_t> getConstant() const;
  bool isConstant(int64_t value) const { return getConstant() == value; }
  bool isConstant() const { return getConstant().has_value(); }
  const std::map<Monomial, int64_t> &getTerms() const { return terms; }

  /// This / divisor where that is a polynomial again.
  std::optional<Dim> divideExactly(const Dim &divisor) const;

  Dim operator+(const Dim &other) const;
  Dim operator-(const Dim &other) const;
  Dim operator*(const Dim &other) const;
  bool operator==(const Dim &other) const { return terms == other.terms; }
  bool operator!=(const Dim &other) const { return terms != other.terms; }
  bool operator<(const Dim &other) const { return terms < other.terms; }

private:
  void addTerm(const Monomial &monomial, int64_t coefficient);

  std::map<Monomial, int64_t> terms;
};

using Shape = llvm::SmallVector<Dim, 0>;

/// The atoms of one function: which SSA values they are, what is known of them, and how a Dim becomes a value.
class DimSpace {
public:
  explicit DimSpace(mlir::OpBuilder &builder) : builder(builder) {}

  /// The Dim of an index value. `nonNegative`: it is known to be.
  Dim getAtom(mlir::Value index, bool nonNegative);

  /// `dim` with everything that assertions have established put in.
  Dim normalize(const Dim &dim) const;
  Shape normalize(llvm::ArrayRef<Dim> shape) const;
  bool isEqual(const Dim &lhs, const Dim &rhs) const { return normalize(lhs) == normalize(rhs); }
  bool isEqual(llvm::ArrayRef<Dim> lhs, llvm::ArrayRef<Dim> rhs) const;
  /// True where the sign is certain.
  bool isNonNegative(const Dim &dim) const;

  /// From here on `lhs` and `rhs` are one Dim; the caller has emitted the assertion.
  void unify(const Dim &lhs, const Dim &rhs);

  Dim min(const Dim &lhs, const Dim &rhs);
  Dim max(const Dim &lhs, const Dim &rhs);
  /// Rounds towards zero, as ONNX's Div of integers. The divisor is not zero.
  Dim divide(const Dim &lhs, const Dim &rhs);
  Dim ceilDivide(const Dim &lhs, const Dim &rhs);
  /// The remainder, with the sign of the divisor.
  Dim modulo(const Dim &lhs, const Dim &rhs);
  enum class Compare { Equal, Less, LessOrEqual };
  /// 1 where the comparison holds, else 0.
  Dim compare(Compare kind, const Dim &lhs, const Dim &rhs);
  Dim select(const Dim &condition, const Dim &ifTrue, const Dim &ifFalse);

  /// As an attribute or an SSA value of type index, made where the builder stands (once).
  mlir::OpFoldResult getFoldResult(const Dim &dim, mlir::Location loc);
  llvm::SmallVector<mlir::OpFoldResult> getFoldResults(llvm::ArrayRef<Dim> shape, mlir::Location loc);
  mlir::Value getValue(const Dim &dim, mlir::Location loc);

  /// Where the ops of `min`, `divide`, ... are placed.
  void setLocation(mlir::Location newLoc) { loc = newLoc; }

private:
  enum class Function { Min, Max, Divide, CeilDivide, Modulo, Equal, Less, LessOrEqual, Select };
  using Key = std::tuple<Function, Dim, Dim, Dim>;
  Dim getFunction(Function function, const Dim &a, const Dim &b, const Dim &c, bool nonNegative);
  mlir::Location getLoc() const { return loc ? *loc : builder.getUnknownLoc(); }

  mlir::OpBuilder &builder;
  std::optional<mlir::Location> loc;
  llvm::SmallVector<mlir::Value> values;
  llvm::SmallVector<bool> signs;
  llvm::DenseMap<mlir::Value, unsigned> ids;
  std::map<unsigned, Dim> substitutions;
  std::map<Dim, mlir::Value> made;
  std::map<Key, Dim> functions;
};

/// The number of elements.
Dim getNumElements(llvm::ArrayRef<Dim> shape);

} // namespace msa::onnx

#endif // MSA_PASSES_ONNX_DIM_H
