// SPDX-License-Identifier: Apache-2.0
//
// Owners of the handles of bank.h and generation.h.

#ifndef MSA_TOOLS_RUN_BANK_HANDLES_H
#define MSA_TOOLS_RUN_BANK_HANDLES_H

#include "msa/generation.h"

#include <memory>

namespace msa::tool {

template <auto Release> struct ReleaseWith {
  template <typename T> void operator()(T *handle) const { Release(handle); }
};

using BankOwner = std::unique_ptr<msa_bank, ReleaseWith<msa_bank_release>>;
using GeneratorOwner = std::unique_ptr<msa_generator, ReleaseWith<msa_generator_release>>;
using SessionOwner = std::unique_ptr<msa_session, ReleaseWith<msa_session_release>>;
using AnswerOwner = std::unique_ptr<msa_answer, ReleaseWith<msa_answer_release>>;

} // namespace msa::tool

#endif // MSA_TOOLS_RUN_BANK_HANDLES_H
