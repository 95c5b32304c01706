// SPDX-License-Identifier: Apache-2.0
//===- Instances.cpp - which template serves which kernel -----------------===//

#include "codegen/gpu/Instances.h"

using namespace msa::gpu;

std::optional<std::vector<LaunchCase>> msa::gpu::lowerWithTemplate(exec::KernelOp, const GPUTarget &) { return std::nullopt; }
