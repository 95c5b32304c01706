// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_ARTIFACT_GPUPROGRAM_H
#define MSA_CODEGEN_ARTIFACT_GPUPROGRAM_H

#include "codegen/gpu/Launch.h"
#include "runtime/schema/msa_artifact_generated.h"
#include "llvm/Support/Error.h"

namespace msa {

/// The launch tables of one GPU variant, in the order of `module`'s `exec.kernel`s: that of Program.kernels. An error names a kernel
/// without a table.
llvm::Expected<flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<schema::GPUKernel>>>>
buildGPUKernels(flatbuffers::FlatBufferBuilder &builder, mlir::ModuleOp module, llvm::ArrayRef<gpu::LaunchTable> tables);

} // namespace msa

#endif // MSA_CODEGEN_ARTIFACT_GPUPROGRAM_H
