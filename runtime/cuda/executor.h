// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_RUNTIME_CUDA_EXECUTOR_H
#define MSA_RUNTIME_CUDA_EXECUTOR_H

#include "runtime/invocation.h"

namespace msa::rt::cuda {

/// Runs the commands of the invocation's entry on the device of its program, and waits for it.
Status executeOnDevice(msa_invocation *invocation, const msa_run_options &options);

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_EXECUTOR_H
