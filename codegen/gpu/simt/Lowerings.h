// SPDX-License-Identifier: Apache-2.0
//
// The SIMT lowering of each kernel op, a file each: functions for every launch, appended to the kernel's module, and their table.

#ifndef MSA_CODEGEN_GPU_SIMT_LOWERINGS_H
#define MSA_CODEGEN_GPU_SIMT_LOWERINGS_H

#include "codegen/gpu/Launch.h"
#include "dialect/exec/ExecDialect.h"
#include "dialect/kernel/KernelDialect.h"

namespace msa::gpu::simt {

using Cases = mlir::FailureOr<std::vector<LaunchCase>>;

Cases lowerRows(exec::KernelOp kernel);
Cases lowerMatmul(exec::KernelOp kernel);
Cases lowerAttention(exec::KernelOp kernel);
Cases lowerRouteScan(exec::KernelOp kernel);
Cases lowerRouteMerge(exec::KernelOp kernel);
Cases lowerRouteRows(exec::KernelOp kernel);
Cases lowerGather(exec::KernelOp kernel);
Cases lowerTake(exec::KernelOp kernel);
Cases lowerChunkIndex(exec::KernelOp kernel);
Cases lowerPool(exec::KernelOp kernel);
Cases lowerQuantize(exec::KernelOp kernel);

/// The lowering of the kernel's op, which is one of those above. An error names the node and says what is not supported.
Cases lower(exec::KernelOp kernel);

/// The table of a kernel of one launch.
inline std::vector<LaunchCase> always(Launch launch) { return {{std::nullopt, 0, {std::move(launch)}}}; }

} // namespace msa::gpu::simt

#endif // MSA_CODEGEN_GPU_SIMT_LOWERINGS_H
