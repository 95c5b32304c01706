// SPDX-License-Identifier: Apache-2.0

#include "passes/Passes.h"

namespace msa {
#define GEN_PASS_DEF_CONVERTMSATOEXEC
#include "passes/Passes.h.inc"
} // namespace msa

namespace {
struct ConvertMSAToExec : msa::impl::ConvertMSAToExecBase<ConvertMSAToExec> {
  void runOnOperation() override { signalPassFailure(); }
};
} // namespace
