// SPDX-License-Identifier: Apache-2.0

#include "runtime/cancel_token.h"

#include "runtime/status.h"

using namespace msa::rt;

msa_status *msa_cancel_token_create(msa_runtime *runtime, msa_cancel_token **out_token) {
  if (out_token)
    *out_token = nullptr;
  if (!runtime || !out_token)
    return failure(MSA_INVALID_ARGUMENT, "msa_cancel_token_create: runtime or out_token is null").release();
  *out_token = runtime->allocator.create<msa_cancel_token>(runtime);
  return *out_token ? nullptr : outOfMemory().release();
}

msa_cancel_token *msa_cancel_token_retain(msa_cancel_token *token) {
  if (token)
    token->owners.add();
  return token;
}

void msa_cancel_token_release(msa_cancel_token *token) {
  if (!token || !token->owners.drop())
    return;
  msa_runtime *runtime = token->runtime;
  runtime->allocator.destroy(token);
  msa_runtime_release(runtime);
}

void msa_cancel_token_cancel(msa_cancel_token *token) { token->cancelled.store(true, std::memory_order_relaxed); }

void msa_cancel_token_reset(msa_cancel_token *token) { token->cancelled.store(false, std::memory_order_relaxed); }

bool msa_cancel_token_is_cancelled(const msa_cancel_token *token) { return token->cancelled.load(std::memory_order_relaxed); }
