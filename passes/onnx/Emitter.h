// SPDX-License-Identifier: Apache-2.0
//
// What every operator of the ONNX conversion is made of: tensors with symbolic shapes, and the few forms of linalg and
// tensor ops that level 1 consists of.

#ifndef MSA_PASSES_ONNX_EMITTER_H
#define MSA_PASSES_ONNX_EMITTER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/onnx/Dim.h"

namespace msa::onnx {

/// The value of an ONNX name, converted.
struct Converted {
  enum class Kind {
    Poison,   ///< its node could not be converted; whoever reads it is not reported again
    None,     ///< an optional input that is left out
    Constant, ///< `constant`, which becomes an op where it is first needed as a tensor
    List,     ///< integers of rank 0 or 1 that are shape arithmetic: `elements`
    Tensor,   ///< `value`
  };
  Kind kind = Kind::Poison;
  /// As ONNX has it: an unsigned type stays unsigned here, and is signless in `value`.
  mlir::Type element;
  Shape shape;
  mlir::Value value;
  mlir::ElementsAttr constant;
  mlir::Location loc;
  Shape elements;

  int64_t getRank() const { return shape.size(); }
  bool isPresent() const { return kind != Kind::None; }

  explicit Converted(mlir::Location loc) : loc(loc) {}
  static Converted none(mlir::Location loc);
  static Converted tensor(mlir::Value value, llvm::ArrayRef<Dim> shape, mlir::Type element = {});
  static Converted fromConstant(mlir::ElementsAttr constant, mlir::Location loc);
  /// Rank 0 where `isScalar`, else rank 1.
  static Converted list(llvm::ArrayRef<Dim> elements, bool isScalar, mlir::Type element, mlir::Location loc);
};

/// Builds scalar code, folding as it goes, so that what is known at compile time stays known.
class ScalarBuilder {
public:
  ScalarBuilder(mlir::OpBuilder &builder, mlir::Location loc) : builder(builder), loc(loc) {}

  template <typename OpTy, typename... Args> mlir::Value create(Args &&...args) {
    return builder.createOrFold<OpTy>(loc, std::forward<Args>(args)...);
  }
  /// A constant of a float or integer type; integers are truncated to the type.
  mlir::Value constant(mlir::Type type, double value);
  mlir::Value constantInt(mlir::Type type, int64_t value);
  /// From ONNX type `from` to ONNX type `to`, by the rules of the operator Cast.
  mlir::Value cast(mlir::Value value, mlir::Type from, mlir::Type to);
  mlir::Value compareFloat(mlir::arith::CmpFPredicate predicate, mlir::Value a, mlir::Value b) {
    return create<mlir::arith::CmpFOp>(predicate, a, b);
  }
  mlir::Value compareInt(mlir::arith::CmpIPredicate predicate, mlir::Value a, mlir::Value b) {
    return create<mlir::arith::CmpIOp>(predicate, a, b);
  }

  mlir::OpBuilder &builder;
  mlir::Location loc;
};

/// The type that `type` is computed in: f32 for the short floats, else itself.
mlir::Type getComputeType(mlir::Type type);
/// `type` without its sign, as arith and linalg have it.
mlir::Type getSignless(mlir::Type type);

using ScalarBody = llvm::function_ref<mlir::Value(ScalarBuilder &, llvm::ArrayRef<mlir::Value>)>;

/// One operand of a generic op: dims[i] is the loop that its axis i runs over, or -1 for index 0 of a unit axis.
struct GenericOperand {
  Converted *value;
  llvm::SmallVector<int64_t> loops;
};

class Emitter {
public:
  explicit Emitter(mlir::OpBuilder &builder) : builder(builder), dims(builder) {}

  mlir::OpBuilder &builder;
  DimSpace dims;

  mlir::Location getLoc() const { return loc; }
  void setLocation(mlir::Location newLoc) {
    loc = newLoc;
    dims.setLocation(newLoc);
  }
  /// The message of an assertion begins with this.
  void setNodeName(llvm::StringRef name) { nodeName = name.str(); }

  //===--------------------------------------------------------------------===//
  // Values
  //===--------------------------------------------------------------------===//

  /// A ranked tensor of signless elements whose static dims are those of `value.shape`.
  mlir::Value getTensor(Converted &value);
  /// The result of an op, its shape read from the type; dynamic dims become atoms (`tensor.dim`) unless `shape` names
  /// them.
  Converted wrap(mlir::Value tensor, mlir::Type element = {});
  Converted wrap(mlir::Value tensor, llvm::ArrayRef<Dim> shape, mlir::Type element = {});
  mlir::RankedTensorType getType(llvm::ArrayRef<Dim> shape, mlir::Type element);
  mlir::Value createEmpty(llvm::ArrayRef<Dim> shape, mlir::Type element);
  /// A tensor full of one number.
  Converted createFilled(llvm::ArrayRef<Dim> shape, mlir::Type element, mlir::TypedAttr value);
  Converted createConstant(mlir::TypedAttr scalar, llvm::ArrayRef<int64_t> shape = {});
  /// The integers of a short rank 0 or 1 value, if they are shape arithmetic already.
  std::optional<Shape> getKnownList(const Converted &value);
  /// The same, reading single elements at run time if need be. Nothing where length or rank do not allow it.
  std::optional<Shape> getList(Converted &value);
  /// All elements where they are known at compile time, else nothing.
  std::optional<llvm::SmallVector<int64_t>> getConstantInts(const Converted &value);
  /// The value that every element of a constant has.
  mlir::TypedAttr getSplat(const Converted &value);

  //===--------------------------------------------------------------------===//
  // Facts
  //===--------------------------------------------------------------------===//

  /// Establishes lhs = rhs: known already, or by `cf.assert`. False where they are known to differ.
  bool assertEqual(const Dim &lhs, const Dim &rhs, const llvm::Twine &what);
  void emitAssert(mlir::Value condition, const llvm::Twine &message);
  void assertLessOrEqual(const Dim &lhs, const Dim &rhs, const llvm::Twine &what);
  /// The common shape by ONNX's multidirectional broadcasting, or nothing where there is none (`why` says it).
  std::optional<Shape> broadcast(llvm::ArrayRef<llvm::ArrayRef<Dim>> shapes, std::string &why);

  //===--------------------------------------------------------------------===//
  // Computation
  //===--------------------------------------------------------------------===//

  /// One linalg.generic over `loops`; loops in `reduced` are reductions into `init`, the others are the axes of the
  /// result, in order. The body gets one scalar per operand, and the accumulator last if something is reduced.
  /// `element` is signless. Loops of length 1 are left out: the body must not ask for indices.
  Converted generic(llvm::ArrayRef<GenericOperand> operands, llvm::ArrayRef<Dim> loops, llvm::ArrayRef<int64_t> reduced,
                    mlir::Type element, mlir::TypedAttr init, ScalarBody body);
  /// The same with exactly these loops, for bodies that use linalg.index.
  Converted indexed(llvm::ArrayRef<GenericOperand> operands, llvm::ArrayRef<Dim> loops, llvm::ArrayRef<int64_t> reduced,
                    mlir::Type element, mlir::TypedAttr init, ScalarBody body);
  /// Elementwise with broadcasting to `shape`. Folds to a constant where every operand is a splat and the body folds.
  Converted elementwise(llvm::MutableArrayRef<Converted> operands, llvm::ArrayRef<Dim> shape, mlir::Type element,
                        ScalarBody body);
  /// The same where operands and result are floats that are computed in getComputeType.
  Converted floatElementwise(llvm::MutableArrayRef<Converted> operands, llvm::ArrayRef<Dim> shape, mlir::Type element,
                             ScalarBody body);
  /// Loops of an operand of `rank` broadcast into `loops`: right-aligned.
  GenericOperand alignRight(Converted &operand, llvm::ArrayRef<Dim> loops);
  /// A reduction of floats or integers over `axes` with the axes dropped. The body gets the element (in `accumulator`'s
  /// type) and the accumulator.
  Converted reduce(Converted &operand, llvm::ArrayRef<int64_t> axes, mlir::Type accumulator, mlir::TypedAttr init,
                   ScalarBody body);
  Converted cast(Converted &operand, mlir::Type element);
  /// [M, K] x [K, N] -> [M, N], either transposed; accumulated in `accumulator`.
  Converted matmul(Converted &lhs, bool transposeLhs, Converted &rhs, bool transposeRhs, mlir::Type accumulator);
  /// [B, M, K] x [B, K, N] (or [B, N, K]) -> [B, M, N].
  Converted batchMatmul(Converted &lhs, Converted &rhs, bool transposeRhs, mlir::Type accumulator);

  //===--------------------------------------------------------------------===//
  // Layout
  //===--------------------------------------------------------------------===//

  /// Same elements, row-major, in another shape with as many elements.
  Converted reshape(Converted &operand, llvm::ArrayRef<Dim> shape);
  Converted transpose(Converted &operand, llvm::ArrayRef<int64_t> permutation);
  /// The operand of the transposition that made `operand`, if one did.
  std::optional<std::pair<Converted, llvm::SmallVector<int64_t>>> getTransposed(const Converted &operand);
  /// offsets[i] + j * steps[i] for j < sizes[i]; steps are positive.
  Converted slice(Converted &operand, llvm::ArrayRef<Dim> offsets, llvm::ArrayRef<Dim> sizes,
                  llvm::ArrayRef<Dim> steps);
  Converted concat(llvm::MutableArrayRef<Converted> operands, int64_t axis);
  Converted broadcastTo(Converted &operand, llvm::ArrayRef<Dim> shape);

  /// How many chunks tokens of these documents and positions make: (documents, positions, chunk length) -> chunks.
  std::map<std::tuple<const void *, const void *, int64_t>, Dim> chunkCounts;

private:
  struct Reshaped {
    mlir::Value root;
    Shape shape;
  };
  struct Transposed {
    mlir::Value source;
    Shape shape;
    llvm::SmallVector<int64_t> permutation;
  };
  mlir::Value emitReshape(mlir::Value source, llvm::ArrayRef<Dim> from, llvm::ArrayRef<Dim> to);
  mlir::Value castToShape(mlir::Value value, llvm::ArrayRef<Dim> shape);

  mlir::Location loc = builder.getUnknownLoc();
  std::string nodeName;
  llvm::DenseMap<mlir::Attribute, mlir::Value> constants;
  llvm::DenseMap<mlir::Value, Reshaped> reshaped;
  llvm::DenseMap<mlir::Value, Transposed> transposed;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<std::pair<Shape, mlir::Value>>> reshapesOf;
};

} // namespace msa::onnx

#endif // MSA_PASSES_ONNX_EMITTER_H
