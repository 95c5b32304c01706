// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/PostProcessor.h"

#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/Utf8.h"

namespace msa::rt::tok {

using nlohmann::json;

constexpr size_t kMaxTemplateTokens = 1024;

/// Appends the id that |value| at |path| holds.
static Status appendId(const json &value, const std::string &path, uint32_t vocabSize, std::vector<int32_t> &out) {
  const auto *id = value.get_ptr<const json::number_unsigned_t *>();
  if (!id || *id >= vocabSize)
    return fileError(path + ": expected a token number below " + std::to_string(vocabSize));
  out.push_back(static_cast<int32_t>(*id));
  return {};
}

Status PostProcessor::loadTemplate(ObjectReader &reader, uint32_t vocabSize) {
  const json *pieces = reader.optional("single");
  const json *tokens = reader.optional("special_tokens");
  reader.ignore("pair"); // texts are encoded one at a time
  std::string path = reader.pathOf("single");
  if (!pieces || !pieces->is_array() || !tokens || !tokens->is_object())
    return fileError(path + ": expected an array, and special_tokens beside it an object");
  bool seenText = false;
  for (size_t i = 0; i < pieces->size(); ++i) {
    std::string piecePath = path + "[" + std::to_string(i) + "]";
    const json &piece = (*pieces)[i];
    const json *sequence = piece.is_object() && piece.contains("Sequence") ? &piece["Sequence"] : nullptr;
    const json *special = piece.is_object() && piece.contains("SpecialToken") ? &piece["SpecialToken"] : nullptr;
    if (!sequence && !special)
      return unsupported(piecePath + ": expected Sequence or SpecialToken");
    Status status;
    ObjectReader pieceReader(sequence ? *sequence : *special, piecePath, status);
    std::string id = pieceReader.string("id");
    pieceReader.ignore("type_id"); // the "token type" of a text alone is the caller's to choose
    pieceReader.finish();
    MSA_TRY(std::move(status));
    if (sequence) {
      if (id != "A" || seenText)
        return unsupported(piecePath + ": expected the one text A, found another " + inQuotes(id));
      seenText = true;
      continue;
    }
    auto token = tokens->find(id);
    std::string tokenPath = reader.pathOf("special_tokens") + "[" + inQuotes(id) + "].ids";
    if (token == tokens->end() || !token->is_object() || !token->contains("ids") || !(*token)["ids"].is_array())
      return fileError(tokenPath + ": expected an array");
    auto &out = seenText ? suffix : prefix;
    for (const json &value : (*token)["ids"]) {
      MSA_TRY(appendId(value, tokenPath, vocabSize, out));
      if (out.size() > kMaxTemplateTokens)
        return fileError(path + ": expected at most " + std::to_string(kMaxTemplateTokens) + " tokens");
    }
  }
  if (!seenText)
    return unsupported(path + ": expected the text A among the pieces");
  return {};
}

Status PostProcessor::loadEnds(ObjectReader &reader, uint32_t vocabSize) {
  for (const char *name : {"cls", "sep"}) {
    const json *pair = reader.optional(name);
    if (!pair || !pair->is_array() || pair->size() != 2)
      return fileError(reader.pathOf(name) + ": expected a token and its number");
    MSA_TRY(appendId((*pair)[1], reader.pathOf(name) + "[1]", vocabSize, *name == 'c' ? prefix : suffix));
  }
  return {};
}

Status PostProcessor::load(const json *section, const std::string &path, uint32_t vocabSize) {
  if (!section)
    return {};
  Status status;
  ObjectReader reader(*section, path, status);
  std::string type = reader.string("type");
  if (!status.ok())
    return status;
  if (type == "Sequence") {
    const json *parts = reader.optional("processors");
    if (!parts || !parts->is_array())
      return fileError(reader.pathOf("processors") + ": expected an array");
    for (size_t i = 0; status.ok() && i < parts->size(); ++i) {
      PostProcessor part;
      MSA_TRY(part.load(&(*parts)[i], reader.pathOf("processors") + "[" + std::to_string(i) + "]", vocabSize));
      prefix.insert(prefix.begin(), part.prefix.begin(), part.prefix.end());
      suffix.insert(suffix.end(), part.suffix.begin(), part.suffix.end());
    }
  } else if (type == "TemplateProcessing") {
    status = loadTemplate(reader, vocabSize);
  } else if (type == "BertProcessing") {
    status = loadEnds(reader, vocabSize);
  } else if (type == "RobertaProcessing") {
    reader.ignore("trim_offsets");
    reader.ignore("add_prefix_space");
    status = loadEnds(reader, vocabSize);
  } else if (type == "ByteLevel") {
    for (const char *name : {"add_prefix_space", "trim_offsets", "use_regex"})
      reader.ignore(name);
  } else {
    return unsupported(reader.pathOf("type") + ": post-processor " + inQuotes(type) + " is not supported");
  }
  reader.finish();
  return status;
}

} // namespace msa::rt::tok
