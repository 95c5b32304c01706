// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_RUNTIME_CANCEL_TOKEN_H
#define MSA_RUNTIME_CANCEL_TOKEN_H

#include "runtime/runtime.h"

#include <atomic>

struct msa_cancel_token {
  explicit msa_cancel_token(msa_runtime *runtime) : runtime(msa_runtime_retain(runtime)) {}

  msa::rt::OwnerCount owners;
  msa_runtime *runtime;
  std::atomic<bool> cancelled{false};
};

#endif // MSA_RUNTIME_CANCEL_TOKEN_H
