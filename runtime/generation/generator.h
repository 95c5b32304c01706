// SPDX-License-Identifier: Apache-2.0
//
// The msa_generator handle, and how documents become rows.

#ifndef MSA_RUNTIME_GENERATION_GENERATOR_H
#define MSA_RUNTIME_GENERATION_GENERATOR_H

#include "msa/generation.h"
#include "msa/msa.hpp"
#include "runtime/generation/model_config.h"
#include "runtime/generation/prompts.h"

#include <atomic>
#include <memory>

struct msa_generator {
  explicit msa_generator(msa_program *program) : program(msa_program_retain(program)) {}

  /// Reads configuration and tokenizer from the artifact.
  msa::gen::Status initialize();

  bool decoder() const { return config.kind == msa::gen::ModelConfig::Kind::kDecoder; }
  /// Every id must have a row in the model's table.
  msa::gen::Status checkIds(std::span<const int32_t> ids) const;

  std::atomic<uint32_t> owners{1};
  msa::Program program;
  msa::gen::ModelConfig config;
  std::unique_ptr<const msa::rt::Tokenizer> tokenizer;
  std::unique_ptr<const msa::gen::Prompts> prompts;
};

namespace msa::gen {

/// Encodes and appends documents; see msa_generator_add.
Status addDocuments(const msa_generator &generator, msa_bank *bank, std::span<const msa_bank_document> documents,
                    const msa_add_options &options, msa_add_result &result);

/// Passes a status of the public C++ or C interface on.
inline Status pass(msa::Status status) { return Status(status.release()); }

} // namespace msa::gen

#endif // MSA_RUNTIME_GENERATION_GENERATOR_H
