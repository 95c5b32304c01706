// SPDX-License-Identifier: Apache-2.0
//===- KernelBuilder.h - kernels for NVIDIA GPUs, written in C++ ----------===//
//
// What the templates of codegen/gpu/templates are written with. A KernelBuilder makes one function of the signature that
// docs/design/0002-gpu-variant.md gives every GPU kernel, and everything a template says goes into it:
//
//   Expr        a value, with the operators of arithmetic: `row = tile * 128 + warp * 16 + lane / 4`
//   State       what a loop or a branch changes. C++ variables named in a State are the loop's variables: the body assigns them, and
//               after the loop they hold the last iteration's values. A value made inside a body and not in its State does not leave it.
//   Slab        a range of shared memory, planned at compile time
//   Array       memory of one element type, global or shared
//
// Pipeline.h adds mbarriers, rings and asynchronous copies, Fragments.h tensor cores. README.md shows how they go together.
//
// Integers are i32 unless a name says otherwise; they are compared as signed numbers, and divided as nonnegative ones.
// No fast-math flag is set and nothing is contracted: a fused multiply-add is `fma`.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_KERNELBUILDER_H
#define MSA_CODEGEN_GPU_KERNELBUILDER_H

#include "codegen/gpu/EmitPTX.h"
#include "codegen/gpu/Launch.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include <concepts>
#include <functional>

namespace msa::gpu {

class KernelBuilder;

/// A value of the kernel under construction. Operators fold constants; both sides have one type, or the other side is a C++ number.
class Expr {
public:
  Expr() = default;
  Expr(KernelBuilder &kernel, mlir::Value value) : kernel(&kernel), held(value) {}

  operator mlir::Value() const { return held; }
  explicit operator bool() const { return static_cast<bool>(held); }
  mlir::Value value() const { return held; }
  mlir::Type type() const { return held.getType(); }
  KernelBuilder &builder() const { return *kernel; }
  /// The constant it is, if it is one.
  std::optional<int64_t> constant() const;

  /// A number of this value's type.
  template <typename T>
    requires std::is_arithmetic_v<T>
  Expr like(T number) const {
    if constexpr (std::is_floating_point_v<T>)
      return likeFloat(number);
    else
      return likeInteger(static_cast<int64_t>(number));
  }
  Expr like(const Expr &other) const { return other; }

  void slots(llvm::SmallVectorImpl<mlir::Value *> &out) { out.push_back(&held); }

private:
  Expr likeInteger(int64_t number) const;
  Expr likeFloat(double number) const;

  KernelBuilder *kernel = nullptr;
  mlir::Value held;
};

namespace detail {
enum class Binary { Add, Sub, Mul, Div, Rem, And, Or, Xor, Shl, Shr, Less, LessEqual, Equal, NotEqual };
Expr binary(Binary kind, const Expr &a, const Expr &b);
} // namespace detail

#define MSA_GPU_OPERATOR(symbol, kind)                                                                                           \
  inline Expr operator symbol(const Expr &a, const Expr &b) { return detail::binary(detail::Binary::kind, a, b); }               \
  template <typename T>                                                                                                          \
    requires std::is_arithmetic_v<T>                                                                                             \
  Expr operator symbol(const Expr &a, T b) {                                                                                     \
    return detail::binary(detail::Binary::kind, a, a.like(b));                                                                   \
  }                                                                                                                              \
  template <typename T>                                                                                                          \
    requires std::is_arithmetic_v<T>                                                                                             \
  Expr operator symbol(T a, const Expr &b) {                                                                                     \
    return detail::binary(detail::Binary::kind, b.like(a), b);                                                                   \
  }
MSA_GPU_OPERATOR(+, Add)
MSA_GPU_OPERATOR(-, Sub)
MSA_GPU_OPERATOR(*, Mul)
MSA_GPU_OPERATOR(/, Div) ///< of nonnegative integers, rounded down
MSA_GPU_OPERATOR(%, Rem)
MSA_GPU_OPERATOR(&, And)
MSA_GPU_OPERATOR(|, Or)
MSA_GPU_OPERATOR(^, Xor)
MSA_GPU_OPERATOR(<<, Shl)
MSA_GPU_OPERATOR(>>, Shr) ///< fills with zeros
MSA_GPU_OPERATOR(<, Less) ///< floats: false if one is NaN
MSA_GPU_OPERATOR(<=, LessEqual)
MSA_GPU_OPERATOR(==, Equal)
MSA_GPU_OPERATOR(!=, NotEqual)
#undef MSA_GPU_OPERATOR
template <typename T> Expr operator>(const Expr &a, const T &b) { return detail::binary(detail::Binary::Less, a.like(b), a); }
template <typename T> Expr operator>=(const Expr &a, const T &b) { return detail::binary(detail::Binary::LessEqual, a.like(b), a); }
Expr logicalNot(const Expr &condition); ///< of an i1
Expr operator-(const Expr &a);
template <typename T> Expr &operator+=(Expr &a, const T &b) { return a = a + b; }
template <typename T> Expr &operator-=(Expr &a, const T &b) { return a = a - b; }
template <typename T> Expr &operator*=(Expr &a, const T &b) { return a = a * b; }

template <typename T>
concept HasSlots = requires(T &x, llvm::SmallVectorImpl<mlir::Value *> &out) { x.slots(out); };

/// The variables that a loop or a branch changes: Expr, Fragment, Cursor, and ranges of them.
class State {
public:
  template <typename... Variables>
    requires(!std::same_as<std::remove_cvref_t<Variables>, State> && ...)
  explicit State(Variables &...variables) {
    (add(variables), ...);
  }
  llvm::SmallVector<mlir::Value> values() const;
  void assign(mlir::ValueRange values);

private:
  template <typename T> static void append(T &variable, llvm::SmallVectorImpl<mlir::Value *> &out) {
    if constexpr (HasSlots<T>)
      variable.slots(out);
    else
      for (auto &element : variable)
        append(element, out);
  }
  /// Asked anew each time: an assigned vector may have moved its elements.
  template <typename T> void add(T &variable) {
    variables.push_back([&variable](llvm::SmallVectorImpl<mlir::Value *> &out) { append(variable, out); });
  }
  llvm::SmallVector<mlir::Value *> slots() const;
  llvm::SmallVector<std::function<void(llvm::SmallVectorImpl<mlir::Value *> &)>, 4> variables;
};

/// A range of the kernel's shared memory. Offsets are known at compile time; `offset` is a multiple of what it was planned with.
struct Slab {
  int64_t offset = 0, bytes = 0;
  /// A part of it.
  Slab part(int64_t from, int64_t size) const { return {offset + from, size}; }
};

/// Memory of elements of one type.
struct Array {
  mlir::Value base; ///< !llvm.ptr<1> (global) or !llvm.ptr<3> (shared)
  mlir::Type element;
};

/// What 16-byte loads of data that is read once ask of the caches.
enum class Reuse { Default, Once };

/// Warps that do one job (KernelBuilder::roles).
struct Role {
  unsigned warpgroups;                     ///< of 128 threads
  unsigned registers;                      ///< for each thread from here on, a multiple of 8 in 24..256; 0: as compiled
  std::function<void(Expr warpgroup)> body; ///< the warpgroup's number in its role
};

class KernelBuilder {
public:
  using Values = llvm::SmallVector<mlir::Value>;

  struct Signature {
    unsigned buffers = 0, scalars = 0, tensorMaps = 0;
    unsigned threads = 128;  ///< of a CTA
    unsigned cluster = 1;    ///< CTAs of a cluster, along x
    unsigned minBlocks = 1;  ///< CTAs that shall fit a multiprocessor: bounds the registers
  };

  /// Opens a function `name` at the end of `module`. Call `finish` when all is said.
  KernelBuilder(mlir::ModuleOp module, llvm::StringRef name, const GPUTarget &target, const Signature &signature, mlir::Location loc);
  KernelBuilder(const KernelBuilder &) = delete;
  KernelBuilder &operator=(const KernelBuilder &) = delete;

  /// Ends the function. \returns the bytes of dynamic shared memory that its launches need, or an error when the device has less.
  llvm::Expected<int64_t> finish();

  mlir::OpBuilder &getBuilder() { return b; }
  mlir::Location getLoc() const { return loc; }
  const GPUTarget &getTarget() const { return target; }
  mlir::LLVM::LLVMFuncOp getFunction() { return function; }
  const Signature &getSignature() const { return signature; }
  Expr wrap(mlir::Value value) { return {*this, value}; }

  //===--- Parameters. ---===//
  Array global(unsigned buffer, mlir::Type element);
  /// The one span of a SPANS buffer: its rows' memory, undefined where there are no rows.
  Array span(unsigned buffer, mlir::Type element);
  Expr spanRows(unsigned buffer); ///< i64
  Expr scalar64(unsigned index);  ///< i64
  Expr scalar(unsigned index);    ///< i32: for what is known to fit
  Expr tiles64();
  /// i64: what the runtime makes of a term of the launch table.
  Expr evaluate(const Term &term);
  mlir::Value workspace();
  mlir::Value tensorMap(unsigned index);

  //===--- Who am I. The numbers of warps and warpgroups are known to be the same in all lanes. ---===//
  Expr thread();    ///< in the CTA
  Expr lane();      ///< in the warp
  Expr warp();      ///< in the CTA
  Expr warpgroup(); ///< in the CTA
  Expr warpInGroup();
  Expr threadInGroup();
  Expr block(unsigned axis = 0);
  Expr grid(unsigned axis = 0); ///< CTAs along the axis
  Expr clusterRank();
  /// i1: true in one lane of a warp whose lanes all come by.
  Expr elect();

  //===--- Types and constants. ---===//
  mlir::Type i1() { return b.getI1Type(); }
  mlir::Type i32() { return b.getI32Type(); }
  mlir::Type i64() { return b.getI64Type(); }
  mlir::Type f32() { return b.getF32Type(); }
  mlir::Type bf16() { return b.getBF16Type(); }
  mlir::Type f16() { return b.getF16Type(); }
  Expr constant(int64_t value) { return integer(value, i32()); }
  Expr constant64(int64_t value) { return integer(value, i64()); }
  Expr constantF(double value);
  Expr integer(int64_t value, mlir::Type type);
  Expr toI64(Expr value); ///< sign-extends
  Expr toI32(Expr value); ///< the low bits
  Expr bitcast(Expr value, mlir::Type type);

  //===--- Arithmetic beyond operators. ---===//
  Expr min(Expr a, Expr b); ///< signed; of floats: the number where the other is NaN
  Expr max(Expr a, Expr b);
  Expr select(Expr condition, Expr a, Expr b);
  Expr ceilDiv(Expr a, int64_t b) { return (a + (b - 1)) / b; }
  Expr fma(Expr a, Expr b, Expr c);
  /// Bytes of the i32 `a` (0..3) and `b` (4..7): digit i of `selector` says which becomes byte i.
  Expr permute(Expr a, Expr b, int64_t selector);
  Expr exp2Approx(Expr x); ///< 2 ulp; subnormal results are 0
  Expr rcpApprox(Expr x);  ///< 1 ulp; subnormals are 0
  Expr rsqrtApprox(Expr x);
  Expr sqrt(Expr x); ///< rounded to nearest
  Expr abs(Expr x);

  /// f32 to a stored type and back. f16, bf16, f8E4M3FN (saturating), f32; rounded to nearest even.
  Expr toF32(Expr value);
  Expr fromF32(Expr value, mlir::Type element);
  /// Two f32 as one i32 of f16 or bf16, `low` in the low half; and back.
  Expr pack(Expr low, Expr high, mlir::Type element);
  std::pair<Expr, Expr> unpack(Expr packed, mlir::Type element);
  /// Four f32 as one i32 of f8E4M3FN, the first in the lowest byte.
  Expr packE4M3(Expr a, Expr b, Expr c, Expr d);
  llvm::SmallVector<Expr> unpackE4M3(Expr packed);

  //===--- Control flow. ---===//
  void forLoop(Expr lo, Expr hi, Expr step, State state, llvm::function_ref<void(Expr i)> body);
  void forLoop(Expr lo, Expr hi, Expr step, llvm::function_ref<void(Expr i)> body) { forLoop(lo, hi, step, State(), body); }
  /// i in [0, count).
  void forLoop(Expr count, State state, llvm::function_ref<void(Expr i)> body) {
    forLoop(count.like(0), count, count.like(1), state, body);
  }
  /// Tiles of a persistent kernel: the CTA's number, and on by the number of CTAs.
  void forTiles(Expr tiles, State state, llvm::function_ref<void(Expr tile)> body) { forLoop(block(), tiles, grid(), state, body); }
  /// Items of a kernel whose launch has a CTA for each: the CTA's number along the first `axes` axes, x fastest, and on by the number of CTAs. In a
  /// grid as large as the launch says that is one item. The item alone stays in a register meanwhile. `items` is i32 or i64, and so is the item.
  void forItems(Expr items, unsigned axes, llvm::function_ref<void(Expr item)> body);
  /// As the first thing in a loop's body: ptxas shall not unroll it. It otherwise spends registers that the rest of the kernel needs.
  void noUnroll();
  void ifThen(Expr condition, State state, llvm::function_ref<void()> then);
  void ifThen(Expr condition, llvm::function_ref<void()> then) { ifThen(condition, State(), then); }
  void ifThenElse(Expr condition, State state, llvm::function_ref<void()> then, llvm::function_ref<void()> otherwise);
  /// Runs `body` while `condition` holds of the state.
  void whileLoop(State state, llvm::function_ref<Expr()> condition, llvm::function_ref<void()> body);
  /// Splits the CTA into roles, first role first. The roles' warpgroups are all there are.
  void roles(llvm::ArrayRef<Role> roles);

  //===--- Shared memory. Plan first, use anywhere. ---===//
  /// Plans `bytes` at a multiple of `align` (a power of two up to 1024).
  Slab shared(int64_t bytes, int64_t align = 16);
  /// The address as shared-memory instructions and descriptors take it.
  Expr sharedAddress(Slab slab);
  Expr sharedAddress(Slab slab, Expr byteOffset) { return sharedAddress(slab) + byteOffset; }
  Array sharedArray(Slab slab, mlir::Type element);

  //===--- Memory. Indices count elements, i32 or i64. ---===//
  mlir::Value at(const Array &array, Expr index);
  Expr load(const Array &array, Expr index);
  void store(Expr value, const Array &array, Expr index);
  /// `count` elements at once, aligned to their size together (up to 16 bytes).
  llvm::SmallVector<Expr> loadVector(const Array &array, Expr index, unsigned count);
  void storeVector(llvm::ArrayRef<Expr> values, const Array &array, Expr index);
  /// 16 bytes of read-only global memory as four i32; `index` counts elements and the address, `offset` bytes further, is a multiple of 16. An offset
  /// costs no register. Loads stay in program order with mma and other ordered PTX: where they stand says how many registers they hold.
  llvm::SmallVector<Expr> load16(const Array &array, Expr index, Reuse reuse = Reuse::Once, int64_t offset = 0);
  /// Loads through f32.
  Expr loadF32(const Array &array, Expr index) { return toF32(load(array, index)); }
  void storeF32(Expr value, const Array &array, Expr index) { store(fromF32(value, array.element), array, index); }

  //===--- Synchronisation. ---===//
  void syncThreads();
  void syncWarp();
  /// A named barrier of the CTA, 1 to 15; `threads` a multiple of 32.
  void barrierSync(unsigned id, unsigned threads);
  /// The same, for the number of a role's warpgroup.
  void barrierSync(Expr id, unsigned threads);
  void barrierArrive(unsigned id, unsigned threads);
  void barrierArrive(Expr id, unsigned threads);
  void clusterSync();
  /// Writes of this thread to shared memory are seen by asynchronous copies and wgmma that come after a barrier.
  void fenceProxyAsync();
  /// Writes of this thread to global memory are seen by the device before what it writes next.
  void fenceDevice();
  /// Programmatic dependent launch: waits for the launch before; lets the next one begin.
  void gridDependencyWait();
  void gridDependencyLaunch();

  //===--- Lanes. ---===//
  Expr shuffleXor(Expr value, int mask);
  Expr shuffleIndex(Expr value, Expr lane);
  /// Whether `condition` (i1) holds in any lane.
  Expr any(Expr condition);
  using Combine = llvm::function_ref<Expr(Expr, Expr)>;
  /// Over the 4 lanes that share the rows of a Fragment, always in the same order; the result is in all of them.
  Expr quadReduce(Expr value, Combine combine);
  Expr warpReduce(Expr value, Combine combine);
  /// Over the threads [0, threads) that meet at named barrier `id` with it: warps first, then warps in ascending order. `scratch` has 4 bytes a warp.
  Expr groupReduce(Expr value, Slab scratch, Expr warpInGroup, unsigned warps, Expr id, Combine combine);

  //===--- Clusters. ---===//
  /// The address, in CTA `rank` of the cluster, of this CTA's shared address.
  Expr clusterAddress(Expr sharedAddress, Expr rank);
  Expr loadCluster(Expr clusterAddress, mlir::Type type);

  /// A volatile store of `value` to shared memory that nobody reads: what computes it cannot sink below the next wait. ptxas otherwise
  /// moves a softmax behind the wait that was to overlap with it.
  void anchor(Expr value);

  //===--- PTX. ---===//
  /// Inline PTX. `$0...` are the results, then the operands. Registers are chosen by type: i1 is not allowed, i16 h, i32 r, i64 and pointers l,
  /// f32 f. `memory`: it reads or writes memory, so that no load or store moves across it. `pure`: it may be removed and moved.
  enum class Effect { Pure, Ordered, Memory };
  llvm::SmallVector<Expr> ptx(llvm::StringRef text, mlir::TypeRange results, mlir::ValueRange operands, Effect effect);
  /// An empty instruction that each of `values` passes through in a register of its own: what is before it is computed before it, in
  /// program order with other ordered PTX. What wgmma needs round its fences.
  void pin(llvm::ArrayRef<mlir::Value *> values);
  template <typename... Variables> void pin(Variables &...variables) {
    llvm::SmallVector<mlir::Value *> slots;
    (addSlots(variables, slots), ...);
    pin(llvm::ArrayRef<mlir::Value *>(slots));
  }

private:
  template <typename T> static void addSlots(T &variable, llvm::SmallVectorImpl<mlir::Value *> &out) {
    if constexpr (HasSlots<T>)
      variable.slots(out);
    else
      for (auto &element : variable)
        addSlots(element, out);
  }
  /// Makes a value once, at the function's beginning.
  Expr atEntry(Expr &cache, llvm::function_ref<Expr()> make);
  mlir::Value sharedBase();

  mlir::OpBuilder b;
  mlir::Location loc;
  mlir::ModuleOp module;
  GPUTarget target;
  Signature signature;
  mlir::LLVM::LLVMFuncOp function;
  mlir::Operation *lastAtEntry = nullptr; ///< the last of the values that the whole function may use
  int64_t plannedShared = 0;
  std::optional<Slab> anchorSlab;
  Expr threadValue, laneValue, warpValue, warpgroupValue, clusterRankValue, sharedBaseValue;
  std::array<Expr, 3> blockValue, gridValue;
};

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_KERNELBUILDER_H
