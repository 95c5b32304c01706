// SPDX-License-Identifier: Apache-2.0

#include "runtime/generation/session.h"

#include <algorithm>
#include <cinttypes>

using namespace msa::gen;
using msa::Buffer;
using msa::Context;
using msa::Invocation;
using msa::Program;
using msa::Runtime;
using msa::tensor;

namespace {

/// "ctx_k.3" of place 6: per layer keys, then values.
std::string layerName(const char *stem, size_t place) {
  return std::string(stem) + (place % 2 ? "_v." : "_k.") + std::to_string(place / 2);
}

} // namespace

Status msa_session::initialize() {
  const Program &program = generator.get()->program;
  if (!msa_bank_fits(bank.get(), program.get()))
    return failure(MSA_INVALID_ARGUMENT, "the bank was made by another model than this artifact's; use the artifact that it was made with, "
                                         "or make a new bank");
  MSA_TRY(pass(Context::create(program, context)));
  if (!generator.get()->decoder())
    return pass(Invocation::create(context, "route", prompt));
  MSA_TRY(pass(Invocation::create(context, "prefill", prompt)));
  uint32_t decodeEntry = 0;
  MSA_TRY(pass(program.findEntry("decode", decodeEntry)));
  MSA_TRY(pass(Invocation::create(context, decodeEntry, decode)));
  MSA_TRY(pass(prompt.findOutput("logits", promptLogits)));
  MSA_TRY(pass(decode.findOutput("logits", decodeLogits)));
  Runtime runtime(msa_runtime_retain(msa_program_runtime(program.get())));
  const ModelConfig &config = generator.get()->config;
  for (size_t i = 0; i < size_t(2 * config.layers); ++i) {
    // Keys and values have the type that the model computes in.
    uint32_t input;
    msa_port port;
    MSA_TRY(pass(decode.findInput(layerName("ctx", i), input)));
    (void)program.input(decodeEntry, input, port);
    cacheType = port.type;
    MSA_TRY(pass(Buffer::create(runtime, port.type, {config.kvHeads, config.headDim}, prefix.emplace_back())));
    MSA_TRY(pass(Buffer::create(runtime, port.type, {config.kvHeads, config.headDim}, cache.emplace_back())));
  }
  for (size_t i = 0; i < cache.size(); ++i) {
    MSA_TRY(pass(decode.bindInput(layerName("ctx", i), cache[i])));
    MSA_TRY(pass(decode.bindOutput(layerName("next", i), cache[i])));
  }
  return {};
}

Status msa_session::bindTokens(Invocation &invocation, std::span<const int32_t> ids, std::span<const int64_t> positions,
                               std::span<const int64_t> numbers) {
  bool decoder = generator.get()->decoder();
  inputIds.assign(ids.begin(), ids.end());
  inputPositions.assign(positions.begin(), positions.end());
  int64_t count = int64_t(ids.size());
  MSA_TRY(pass(invocation.bindInput("ids", tensor(inputIds.data(), MSA_I64, {count}))));
  MSA_TRY(pass(invocation.bindInput(decoder ? "pos" : "wpos", tensor(inputPositions.data(), MSA_I64, {count}))));
  if (numbers.empty())
    return {};
  inputMask.resize(ids.size());
  for (size_t i = 0; i < ids.size(); ++i)
    inputMask[i] = numbers[i] == kQuery;
  return pass(invocation.bindInput("query_mask", tensor(inputMask.data(), MSA_BOOL, {count})));
}

Status msa_session::bindEmptyBank() {
  for (uint32_t i = 0; i < msa_bank_field_count(bank.get()); ++i) {
    msa_bank_field field;
    msa_bank_get_field(bank.get(), i, &field);
    uint32_t input;
    if (!prompt.findInput(field.name, input).ok())
      continue;
    msa_tensor shape = {};
    shape.type = field.type;
    shape.rank = field.row_rank + 1;
    std::copy_n(field.row_shape, field.row_rank, shape.shape + 1);
    MSA_TRY(pass(prompt.bindInput(input, shape)));
  }
  return pass(prompt.bindInput("chunk_doc", tensor(nullptr, MSA_I64, {0})));
}

Status msa_session::ensurePrefix(msa_cancel_token *cancel) {
  if (havePrefix || !generator.get()->decoder())
    return {};
  const ModelConfig &config = generator.get()->config;
  std::vector<int32_t> ids;
  MSA_TRY(generator.get()->prompts->prefix(ids));
  if (!ids.empty()) {
    // A prompt without memory and without a prefix of its own: its context is the prefix.
    std::vector<int64_t> positions(ids.size()), numbers(ids.size(), kQuery);
    for (size_t i = 0; i < ids.size(); ++i)
      positions[i] = int64_t(i);
    MSA_TRY(bindTokens(prompt, ids, positions, numbers));
    MSA_TRY(bindEmptyBank());
    for (size_t i = 0; i < prefix.size(); ++i) {
      MSA_TRY(pass(prompt.bindInput(layerName("prefix", i), tensor(nullptr, cacheType, {0, config.kvHeads, config.headDim}))));
      MSA_TRY(pass(prompt.bindOutput(layerName("ctx", i), prefix[i])));
    }
    Invocation::Options options;
    options.cancel = cancel;
    MSA_TRY(pass(prompt.run(options)));
  }
  for (size_t i = 0; i < prefix.size(); ++i)
    MSA_TRY(pass(prompt.bindOutput(layerName("ctx", i), cache[i])));
  for (size_t i = 0; i < prefix.size(); ++i)
    MSA_TRY(pass(prompt.bindInput(layerName("prefix", i), prefix[i])));
  havePrefix = true;
  return {};
}

Status msa_session::call(msa_stage stage, std::span<const int32_t> ids, std::span<const int64_t> positions,
                         std::span<const int64_t> numbers, msa_cancel_token *cancel) {
  bool decoder = generator.get()->decoder();
  last = nullptr;
  if (ids.empty() || positions.size() != ids.size() || numbers.size() != ids.size())
    return failure(MSA_INVALID_ARGUMENT, "a call of the model needs at least one token, and as many positions and numbers as tokens");
  if (stage != MSA_STAGE_PREFILL && stage != MSA_STAGE_DECODE && stage != MSA_STAGE_APPEND)
    return failure(MSA_INVALID_ARGUMENT, "%d is not a stage", int(stage));
  if (stage != MSA_STAGE_PREFILL && !decoder)
    return failure(MSA_INVALID_ARGUMENT, "the artifact is a retriever: it routes prompts and generates nothing");
  if (stage == MSA_STAGE_DECODE && ids.size() != 1)
    return failure(MSA_INVALID_ARGUMENT, "a decode step takes one token, found %zu; a block is appended", ids.size());
  if (stage != MSA_STAGE_PREFILL && !haveSequence)
    return failure(MSA_FAILED_PRECONDITION, "there is no running sequence to go on with: call the model with a prompt first");
  MSA_TRY(generator.get()->checkIds(ids));
  // A retriever's positions are rows of a table, whose end the artifact checks.
  for (int64_t position : positions)
    if (position < 0 || position > INT32_MAX)
      return failure(MSA_INVALID_ARGUMENT, "position %" PRId64 " is out of range", position);
  Invocation::Options options;
  options.cancel = cancel;
  if (stage != MSA_STAGE_PREFILL) {
    MSA_TRY(bindTokens(decode, ids, positions, {}));
    MSA_TRY(pass(decode.run(options)));
    last = &decode;
    return {};
  }
  if (std::find(numbers.begin(), numbers.end(), kQuery) == numbers.end())
    return failure(MSA_INVALID_ARGUMENT, "no token of the prompt has the number 0, so nothing would route");
  haveSequence = false;
  MSA_TRY(ensurePrefix(cancel));
  BankView view(bank.get());
  MSA_TRY(bindTokens(prompt, ids, positions, numbers));
  MSA_TRY(Status(msa_bank_bind(bank.get(), prompt.get())));
  MSA_TRY(pass(prompt.run(options)));
  haveSequence = decoder;
  last = &prompt;
  return {};
}

Status msa_session::output(const char *name, msa_tensor &out) const {
  if (!last)
    return failure(MSA_FAILED_PRECONDITION, "nothing to read: the model has not been called, or its last call failed");
  return pass(last->output(name, out));
}

Status msa_session::logits(std::span<const float> &out) const {
  out = {};
  if (!generator.get()->decoder())
    return {};
  if (!last)
    return failure(MSA_FAILED_PRECONDITION, "nothing to read: the model has not been called, or its last call failed");
  msa_tensor found;
  MSA_TRY(pass(last->output(last == &decode ? decodeLogits : promptLogits, found)));
  int64_t count = found.rank ? found.shape[found.rank - 1] : 0;
  if (found.type != MSA_F32 || count < generator.get()->config.vocabSize)
    return failure(MSA_INVALID_ARTIFACT, "output 'logits': expected f32 [1, %" PRId64 "], found %" PRId64 " of %s",
                   generator.get()->config.vocabSize, count, msa_element_name(found.type));
  out = {static_cast<const float *>(found.data), size_t(count)};
  return {};
}
