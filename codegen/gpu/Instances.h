// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_GPU_INSTANCES_H
#define MSA_CODEGEN_GPU_INSTANCES_H

#include "codegen/gpu/EmitPTX.h"
#include "codegen/gpu/Launch.h"
#include "dialect/exec/ExecDialect.h"

namespace msa::gpu {

/// The functions of the template instances that serve `kernel` on `target`, appended to the kernel's module, and how they are launched;
/// nothing where no template serves its op, types and shapes, which is no error.
std::optional<std::vector<LaunchCase>> lowerWithTemplate(exec::KernelOp kernel, const GPUTarget &target);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_INSTANCES_H
