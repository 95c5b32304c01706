// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/Decoder.h"

#include "runtime/tokenizer/ByteAlphabet.h"
#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/Utf8.h"

namespace msa::rt::tok {

using nlohmann::json;

Status Decoder::load(const json *section) {
  if (!section)
    return {};
  return loadPart(*section, "decoder", false);
}

Status Decoder::loadPart(const json &section, const std::string &path, bool inSequence) {
  Status status;
  ObjectReader reader(section, path, status);
  std::string type = reader.string("type");
  if (type == "Sequence" && !inSequence) {
    const json *parts = reader.optional("decoders");
    if (status.ok() && (!parts || !parts->is_array()))
      status = fileError(reader.pathOf("decoders") + ": expected an array");
    if (status.ok())
      kind = Kind::Join;
    for (size_t i = 0; status.ok() && i < parts->size(); ++i)
      status = loadPart((*parts)[i], reader.pathOf("decoders") + "[" + std::to_string(i) + "]", true);
  } else if (type == "Fuse") {
    if (!inSequence)
      kind = Kind::Join; // behind ByteFallback it changes nothing
  } else if (type == "ByteFallback" && (!inSequence || kind == Kind::Join)) {
    kind = Kind::ByteFallback;
  } else if (type == "ByteLevel" && !inSequence) {
    kind = Kind::ByteLevel;
    for (const char *name : {"add_prefix_space", "trim_offsets", "use_regex"})
      reader.ignore(name); // they matter when encoding
  } else if (type == "WordPiece" && !inSequence) {
    kind = Kind::WordPiece;
    prefix = reader.string("prefix", "##");
    cleanUp = reader.boolean("cleanup", true);
  } else if (status.ok()) {
    status = unsupported(reader.pathOf("type") + ": decoder " + inQuotes(type) + " is not supported" +
                         (inSequence ? " in a sequence" : ""));
  }
  reader.finish();
  return status;
}

static void replaceAll(std::string &text, std::string_view what, std::string_view by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

/// Undoes the spaces that joining words puts around English punctuation.
static void cleanUpEnglish(std::string &text) {
  static constexpr std::pair<std::string_view, std::string_view> kReplacements[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (auto [what, by] : kReplacements)
    replaceAll(text, what, by);
}

/// The byte that a token <0xHH> stands for; -1: it is no such token.
static int fallbackByte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
    return -1;
  int value = 0;
  for (char digit : token.substr(3, 2)) {
    if (digit >= '0' && digit <= '9')
      value = value * 16 + (digit - '0');
    else if (digit >= 'A' && digit <= 'F')
      value = value * 16 + (digit - 'A' + 10);
    else if (digit >= 'a' && digit <= 'f')
      value = value * 16 + (digit - 'a' + 10);
    else
      return -1;
  }
  return value;
}

void Decoder::append(std::string_view token, State &state, std::string &out) const {
  bool first = state.first;
  state.first = false;
  switch (kind) {
  case Kind::JoinBySpace:
    if (!first)
      out.push_back(' ');
    out.append(token);
    return;
  case Kind::Join:
    out.append(token);
    return;
  case Kind::ByteLevel: {
    if (!appendSpelledBytes(token, state.held))
      state.held.append(token);
    size_t complete = state.held.size() - incompleteSuffix(state.held);
    appendRepaired(std::string_view(state.held).substr(0, complete), out);
    state.held.erase(0, complete);
    return;
  }
  case Kind::WordPiece: {
    std::string text;
    if (first)
      text = token;
    else if (token.starts_with(prefix))
      text = token.substr(prefix.size());
    else
      text.append(" ").append(token);
    if (cleanUp)
      cleanUpEnglish(text);
    out.append(text);
    return;
  }
  case Kind::ByteFallback:
    // Whether bytes are text is known when the last of them is there.
    if (int byte = fallbackByte(token); byte >= 0) {
      state.held.push_back(static_cast<char>(byte));
      return;
    }
    finish(state, out);
    state.first = false;
    out.append(token);
    return;
  }
}

void Decoder::finish(State &state, std::string &out) const {
  if (kind == Kind::ByteFallback && !isValidUtf8(state.held)) {
    for (size_t i = 0; i < state.held.size(); ++i)
      out.append("\xEF\xBF\xBD");
  } else {
    appendRepaired(state.held, out);
  }
  state = {};
}

} // namespace msa::rt::tok
