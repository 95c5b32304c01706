// SPDX-License-Identifier: Apache-2.0
//
// How a kernel is launched on a GPU: the schema's Term, TensorMap, Launch and LaunchCase (runtime/schema/msa_artifact.fbs says what
// each field means, docs/design/0002-gpu-variant.md what the functions' parameters are), and their form in the IR.

#ifndef MSA_CODEGEN_GPU_LAUNCH_H
#define MSA_CODEGEN_GPU_LAUNCH_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinAttributes.h"
#include <array>
#include <optional>
#include <string>
#include <vector>

namespace msa::gpu {

/// multiplier * ceil(factor * product of the scalars named / divisor).
struct Term {
  int64_t factor = 1;
  std::vector<uint32_t> scalars; ///< indices into the kernel's scalars
  int64_t divisor = 1;
  int64_t multiplier = 1;

  static Term constant(int64_t value) { return {value, {}, 1, 1}; }
  static Term scalar(uint32_t index, int64_t divisor = 1) { return {1, {index}, divisor, 1}; }
  bool operator==(const Term &) const = default;
};

enum class TensorElement { F32, F16, BF16, U8 };

/// A tiled tensor map over a buffer of the kernel, innermost dim first.
struct TensorMap {
  uint32_t buffer = 0;
  TensorElement type = TensorElement::BF16;
  std::vector<Term> dims;    ///< elements, 1 to 5
  std::vector<Term> strides; ///< bytes, of dims 1 and up
  std::vector<uint32_t> box; ///< elements, each 1 to 256
  uint32_t swizzle = 0;      ///< bytes: 0, 32, 64 or 128
  bool operator==(const TensorMap &) const = default;
};

/// One launch of a function.
struct Launch {
  std::string symbol;
  std::array<Term, 3> grid = {Term::constant(1), Term::constant(1), Term::constant(1)};
  uint32_t persistent = 0; ///< not 0: grid.x is at most this times the multiprocessors
  uint32_t block = 32;     ///< threads
  uint32_t cluster = 1;    ///< CTAs along x
  uint32_t dynamicShared = 0;
  std::optional<Term> workspace;       ///< bytes
  std::optional<Term> workspaceZeroed; ///< bytes at its start
  std::vector<TensorMap> tensorMaps;
  bool operator==(const Launch &) const = default;
};

/// Taken when scalars[scalar] < below, or always without a scalar (the last case of a kernel).
struct LaunchCase {
  std::optional<uint32_t> scalar;
  int64_t below = 0;
  std::vector<Launch> launches;
  bool operator==(const LaunchCase &) const = default;
};

/// The table of one `exec.kernel`.
struct LaunchTable {
  std::string kernel; ///< its symbol
  std::vector<LaunchCase> cases;
  bool operator==(const LaunchTable &) const = default;
};

/// Name of the attribute that holds a kernel's table. It stands on the first function made from the kernel; the table names the others.
inline constexpr llvm::StringLiteral kLaunchTableName = "msa.launch_table";

/// As a dictionary of builtin attributes; fields with their default value are left out.
mlir::DictionaryAttr toAttribute(mlir::MLIRContext *context, const LaunchTable &table);
/// The other way. An error is told through `emitError`: a field that is unknown, missing or of the wrong kind.
mlir::FailureOr<LaunchTable> fromAttribute(mlir::Attribute attribute, llvm::function_ref<mlir::InFlightDiagnostic()> emitError);

/// What `module`'s functions say, in their order. Every launch names a function of the module.
mlir::FailureOr<std::vector<LaunchTable>> collectLaunchTables(mlir::ModuleOp module);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_LAUNCH_H
