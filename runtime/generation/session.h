// SPDX-License-Identifier: Apache-2.0
//
// The msa_session handle: calls of the model for one conversation. Keys and values of the running sequence lie in buffers that are
// input and output of a decode step at once, so a step writes its own rows and copies none.

#ifndef MSA_RUNTIME_GENERATION_SESSION_H
#define MSA_RUNTIME_GENERATION_SESSION_H

#include "runtime/generation/generator.h"

namespace msa::gen {

/// An owner of the bank.
class BankHandle : public msa::detail::Handle<msa_bank, msa_bank_retain, msa_bank_release> {
public:
  using Handle::Handle;
};

class GeneratorHandle : public msa::detail::Handle<msa_generator, msa_generator_retain, msa_generator_release> {
public:
  using Handle::Handle;
};

/// Holds a bank shared for a scope.
class BankView {
public:
  explicit BankView(const msa_bank *bank) : bank(bank) { msa_bank_lock_shared(bank); }
  ~BankView() { msa_bank_unlock_shared(bank); }
  BankView(const BankView &) = delete;

private:
  const msa_bank *bank;
};

} // namespace msa::gen

struct msa_session {
  msa_session(msa_generator *generator, msa_bank *bank)
      : generator(msa_generator_retain(generator)), bank(msa_bank_retain(bank)) {}

  msa::gen::Status initialize();

  /// One call. |cancel| may be null. A prefill also encodes the template's prefix when that has not been done.
  msa::gen::Status call(msa_stage stage, std::span<const int32_t> ids, std::span<const int64_t> positions,
                        std::span<const int64_t> numbers, msa_cancel_token *cancel);
  msa::gen::Status output(const char *name, msa_tensor &tensor) const;
  /// Logits of the last call; empty for a retriever.
  msa::gen::Status logits(std::span<const float> &out) const;
  msa::gen::Status ensurePrefix(msa_cancel_token *cancel);

  std::atomic<uint32_t> owners{1};
  msa::gen::GeneratorHandle generator;
  msa::gen::BankHandle bank;
  std::vector<msa::Buffer> prefix; // per layer: keys, values

private:
  msa::gen::Status bindTokens(msa::Invocation &invocation, std::span<const int32_t> ids, std::span<const int64_t> positions,
                              std::span<const int64_t> numbers);
  msa::gen::Status bindEmptyBank();

  msa::Context context;
  msa::Invocation prompt; // prefill or route
  msa::Invocation decode;
  std::vector<msa::Buffer> cache; // per layer: keys, values
  std::vector<int64_t> inputIds, inputPositions;
  std::vector<uint8_t> inputMask;
  const msa::Invocation *last = nullptr; // whose outputs are readable
  msa_element_type cacheType = MSA_F32; // of keys and values
  uint32_t promptLogits = 0, decodeLogits = 0;
  bool havePrefix = false, haveSequence = false;
};

#endif // MSA_RUNTIME_GENERATION_SESSION_H
