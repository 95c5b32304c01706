// SPDX-License-Identifier: Apache-2.0
//===- Instances.h - the table of templates' instances --------------------===//
//
// A template becomes an instance by its parameters (tile, stages, ...) and its problem (types, shapes). Which instance serves a kernel is decided by the
// pick functions beside the templates; what they can pick stands in `allInstances`, so that every one is assembled, run in the emulator, mutated and
// measured.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_INSTANCES_H
#define MSA_CODEGEN_GPU_INSTANCES_H

#include "codegen/gpu/EmitPTX.h"
#include "codegen/gpu/Launch.h"
#include "dialect/exec/ExecDialect.h"
#include "llvm/Support/JSON.h"
#include <functional>

namespace msa::gpu {

/// The functions of the template instances that serve `kernel` on `target`, appended to the kernel's module, and how they are launched;
/// nothing where no template serves its op, types and shapes, which is no error. Both are told as optimisation remarks.
std::optional<std::vector<LaunchCase>> lowerWithTemplate(exec::KernelOp kernel, const GPUTarget &target);

/// An instance with a problem of its own, for those who look at all of them. The name is fit for a file.
struct Instance {
  std::string name;
  std::string family; ///< the template: "gemm", ...
  GPUTarget target;
  llvm::json::Object parameters; ///< what a test needs to make inputs and to know the result
  /// Adds the functions to `module`. \returns how they are launched, in order.
  std::function<llvm::Expected<std::vector<Launch>>(mlir::ModuleOp module, llvm::StringRef symbol)> emit;
};

/// Every instance that a kernel may get, each once. The context has the dialects of `registerEmission` loaded.
std::vector<Instance> allInstances(mlir::MLIRContext &context);

//===--- The templates' parts of it, each beside its template. ---===//

void addAttendInstances(mlir::MLIRContext &context, std::vector<Instance> &instances);
void addGemmInstances(mlir::MLIRContext &context, std::vector<Instance> &instances);
void addRouteInstances(mlir::MLIRContext &context, std::vector<Instance> &instances);
void addMoveInstances(mlir::MLIRContext &context, std::vector<Instance> &instances); ///< gather and compress

/// What `gpu-instances --launch` prints: name, template, sm, parameters, launches.
llvm::json::Object describe(const Instance &instance, llvm::ArrayRef<Launch> launches);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_INSTANCES_H
