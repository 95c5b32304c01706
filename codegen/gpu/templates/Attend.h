// SPDX-License-Identifier: Apache-2.0
//===- Attend.h - attention on tensor cores -------------------------------===//
//
// kernel.attention for f16 and bf16: scores and sums in f32, weights rounded to the operands' type.
//
//   AttendHopper.cpp   sm_90: a producer warpgroup on TMA, two consumer warpgroups on wgmma; persistent
//   AttendAmpere.cpp   sm_80 and up: cp.async, ldmatrix, mma.sync
//   Decode.cpp         up to 16 rows over a long context: keys go from global memory straight into mma.sync
//
// A *row* is one query head of one query. A tile has `pack` heads of the same kv head for each of its queries, the head
// fastest, so that few queries still fill a tensor core and a key is read once for all of them. Rows are independent:
// each has a range of keys [begin, end) that it sees (AttendRows), a running maximum and a sum (OnlineSoftmax).
//
// With `splits`, a tile's keys are cut in as many parts, each a CTA's work; a second launch adds them up
// (AttendCombine.cpp). Where they are cut depends on the problem alone, so results do not depend on the device. With
// documents, a first launch finds where each token's document begins and ends (AttendRuns.cpp).
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_TEMPLATES_ATTEND_H
#define MSA_CODEGEN_GPU_TEMPLATES_ATTEND_H

#include "codegen/gpu/KernelBuilder.h"
#include "codegen/gpu/Launch.h"
#include "dialect/exec/ExecDialect.h"
#include "dialect/kernel/KernelDialect.h"

namespace msa::gpu {

/// Where a kernel's parameters have an array [batch, token, head, dim]; neighbours along the last dim lie side by side.
struct AttendTensor {
  unsigned buffer = 0;
  int64_t offset = 0;       ///< bytes from the buffer's start, a multiple of 16
  Term batch, token, head;  ///< strides in elements

  /// Row-major, with `heads` heads of `dim` elements and `tokens` tokens.
  static AttendTensor contiguous(unsigned buffer, const Term &tokens, int64_t heads, int64_t dim);
};

/// An attention, as far as it is known when it is compiled.
struct AttendProblem {
  mlir::Type element; ///< of query, key and value: bf16 or f16
  mlir::Type result;  ///< f32, bf16 or f16
  int64_t heads = 0, kvHeads = 0, headDim = 0, valueDim = 0;
  double scale = 1; ///< positive
  bool causal = false;
  Term batches, queries, keys;

  unsigned buffers = 0, scalars = 0; ///< of the kernel
  AttendTensor query, key, value, output;
  std::optional<unsigned> documents; ///< buffer of i64 [M]; M = N

  int64_t group() const { return heads / kvHeads; }
};

/// One way to compute it.
struct AttendInstance {
  enum class Form { Hopper, Ampere, Decode };
  Form form = Form::Hopper;
  unsigned pack = 1;   ///< heads a tile has of each query; Decode: all of the group
  unsigned rows = 128; ///< of a tile; Decode: 16
  unsigned keys = 128; ///< of a block
  unsigned stages = 2; ///< Hopper: blocks of keys, and of values, in flight
  unsigned splits = 1; ///< parts that a tile's keys are cut in

  /// "hopper_128x128_p4_s2", with "_split16" where keys are split.
  std::string name() const;
};

/// An instance for up to so many queries.
struct AttendChoice {
  int64_t below = 0; ///< taken when M < below; 0: always
  AttendInstance instance;
};

/// The instances for a problem, in the order in which they are tried; the last takes any M. An error says why no
/// template serves it.
llvm::Expected<std::vector<AttendChoice>> pickAttend(const AttendProblem &problem, const GPUTarget &target);

/// Adds the functions of an instance to `module`, `symbol` and that with suffixes. \returns how they are launched, in
/// order.
llvm::Expected<std::vector<Launch>> emitAttend(mlir::ModuleOp module, llvm::StringRef symbol,
                                               const AttendProblem &problem, const AttendInstance &instance,
                                               const GPUTarget &target);

/// The launches of a kernel whose op is a kernel.attention, or an error that says why the template does not serve it;
/// nothing is added then.
llvm::Expected<std::vector<LaunchCase>> lowerAttention(exec::KernelOp kernel, kernel::AttentionOp op,
                                                       const GPUTarget &target);

//===--- The forms. ---===//

llvm::Expected<Launch> emitAttendHopper(mlir::ModuleOp, llvm::StringRef symbol, const AttendProblem &,
                                        const AttendInstance &, const GPUTarget &);
llvm::Expected<Launch> emitAttendAmpere(mlir::ModuleOp, llvm::StringRef symbol, const AttendProblem &,
                                        const AttendInstance &, const GPUTarget &);
llvm::Expected<Launch> emitDecode(mlir::ModuleOp, llvm::StringRef symbol, const AttendProblem &, const AttendInstance &,
                                  const GPUTarget &);
/// Writes begin and end of each token's document to the workspace.
llvm::Expected<Launch> emitAttendRuns(mlir::ModuleOp, llvm::StringRef symbol, const AttendProblem &, const GPUTarget &);
/// Adds up the parts of split keys.
llvm::Expected<Launch> emitAttendCombine(mlir::ModuleOp, llvm::StringRef symbol, const AttendProblem &,
                                         unsigned splits, const GPUTarget &);

/// a * b of terms without a divisor.
Term product(const Term &a, const Term &b);
inline Term product(const Term &a, int64_t b) { return product(a, Term::constant(b)); }
/// How many pieces of work there are, or more where batches vary.
Term attendTiles(const AttendProblem &problem, const AttendInstance &instance);
/// The bytes of a launch's workspace: documents' ends, or parts of split keys; nothing where neither is.
std::optional<Term> attendWorkspace(const AttendProblem &problem, unsigned splits);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_TEMPLATES_ATTEND_H
