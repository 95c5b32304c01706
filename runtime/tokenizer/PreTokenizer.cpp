// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/PreTokenizer.h"

#include "runtime/tokenizer/BertCharacters.h"
#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>

namespace msa::rt::tok {

using nlohmann::json;

// What ByteLevel splits by when use_regex is set.
constexpr const char *kByteLevelExpression =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

Status PreTokenizer::loadBehavior(std::string_view name, const std::string &path, Behavior &out) {
  static constexpr std::pair<const char *, Behavior> kBehaviors[] = {
      {"Removed", Behavior::Removed},
      {"Isolated", Behavior::Isolated},
      {"MergedWithPrevious", Behavior::MergedWithPrevious},
      {"MergedWithNext", Behavior::MergedWithNext},
      {"Contiguous", Behavior::Contiguous}};
  for (auto &[known, behavior] : kBehaviors)
    if (name == known) {
      out = behavior;
      return {};
    }
  return unsupported(path + ": behavior " + inQuotes(name) + " is not supported");
}

Status PreTokenizer::load(const json *section, const std::string &path) {
  if (!section)
    return {};
  Status status;
  ObjectReader reader(*section, path, status);
  std::string type = reader.string("type");
  if (status.ok() && byteLevel)
    return unsupported(path + ": nothing may follow ByteLevel, found " + inQuotes(type));
  if (stages.size() >= 64)
    return fileError(path + ": expected at most 64 stages");

  Stage stage = {};
  if (type == "Sequence") {
    const json *parts = reader.optional("pretokenizers");
    if (status.ok() && (!parts || !parts->is_array()))
      status = fileError(reader.pathOf("pretokenizers") + ": expected an array");
    for (size_t i = 0; status.ok() && i < parts->size(); ++i)
      status = load(&(*parts)[i], reader.pathOf("pretokenizers") + "[" + std::to_string(i) + "]");
    reader.finish();
    return status;
  }
  if (type == "Split") {
    std::string behavior = reader.string("behavior");
    stage.invert = reader.boolean("invert");
    const json *pattern = reader.optional("pattern");
    if (!status.ok())
      return status;
    if (!pattern)
      return fileError(reader.pathOf("pattern") + ": expected an object, found nothing");
    ObjectReader patternReader(*pattern, reader.pathOf("pattern"), status);
    if (status.ok() && pattern->contains("Regex")) {
      stage.kind = Kind::Expression;
      std::string expression = patternReader.string("Regex");
      if (status.ok())
        status = stage.regex.compile(expression, patternReader.pathOf("Regex"));
    } else {
      stage.kind = Kind::Literal;
      stage.literal = patternReader.string("String");
      if (status.ok() && stage.literal.empty())
        status = fileError(patternReader.pathOf("String") + ": expected a string that is not empty");
    }
    patternReader.finish();
    if (status.ok())
      status = loadBehavior(behavior, reader.pathOf("behavior"), stage.behavior);
    stages.push_back(std::move(stage));
  } else if (type == "ByteLevel") {
    bool prefixSpace = reader.boolean("add_prefix_space");
    bool useRegex = reader.boolean("use_regex", true);
    reader.ignore("trim_offsets"); // offsets are not reported
    if (!status.ok())
      return status;
    byteLevel = true;
    if (prefixSpace) {
      stage.kind = Kind::PrefixSpace;
      stages.push_back(std::move(stage));
    }
    if (useRegex) {
      stage = {};
      stage.kind = Kind::Expression;
      status = stage.regex.compile(kByteLevelExpression, path);
      stages.push_back(std::move(stage));
    }
  } else if (type == "BertPreTokenizer") {
    stage.kind = Kind::Bert;
    stages.push_back(std::move(stage));
  } else if (type == "WhitespaceSplit") {
    stage.kind = Kind::WhitespaceSplit;
    stage.behavior = Behavior::Removed;
    stages.push_back(std::move(stage));
  } else if (type == "Punctuation") {
    stage.kind = Kind::Punctuation;
    std::string behavior = reader.string("behavior", "Isolated");
    if (status.ok())
      status = loadBehavior(behavior, reader.pathOf("behavior"), stage.behavior);
    stages.push_back(std::move(stage));
  } else if (type == "Digits") {
    stage.kind = Kind::Digits;
    stage.behavior = reader.boolean("individual_digits", false) ? Behavior::Isolated : Behavior::Contiguous;
    stages.push_back(std::move(stage));
  } else if (status.ok()) {
    status = unsupported(reader.pathOf("type") + ": pre-tokenizer " + inQuotes(type) + " is not supported");
  }
  reader.finish();
  return status;
}

/// Every character for which |matches| says yes becomes a part, and so do the runs between them.
template <typename Matches, typename Part>
static void partsByCharacter(std::string_view piece, Matches &&matches, std::vector<Part> &parts) {
  size_t runStart = 0;
  for (size_t position = 0; position < piece.size();) {
    size_t start = position;
    if (!matches(nextCharacter(piece, position)))
      continue;
    if (runStart < start)
      parts.push_back({runStart, start, false});
    parts.push_back({start, position, true});
    runStart = position;
  }
  if (runStart < piece.size())
    parts.push_back({runStart, piece.size(), false});
}

Status PreTokenizer::splitPiece(const Stage &stage, std::string_view piece, std::vector<Part> &parts,
                                std::vector<std::string_view> &out) const {
  parts.clear();
  switch (stage.kind) {
  case Kind::Bert: {
    // Whitespace goes, punctuation stands alone: both in one pass.
    size_t runStart = 0;
    auto endRun = [&](size_t end) {
      if (runStart < end)
        out.push_back(piece.substr(runStart, end - runStart));
    };
    for (size_t position = 0; position < piece.size();) {
      size_t start = position;
      char32_t c = nextCharacter(piece, position);
      bool isSpace = isWhiteSpace(c);
      if (!isSpace && !isBertPunctuation(c))
        continue;
      endRun(start);
      if (!isSpace)
        out.push_back(piece.substr(start, position - start));
      runStart = position;
    }
    endRun(piece.size());
    return {};
  }
  case Kind::Expression: {
    std::vector<std::pair<size_t, size_t>> matches;
    MSA_TRY(stage.regex.matches(piece, matches));
    size_t last = 0;
    for (auto [start, end] : matches) {
      if (last < start)
        parts.push_back({last, start, false});
      parts.push_back({start, end, true});
      last = end;
    }
    if (last < piece.size())
      parts.push_back({last, piece.size(), false});
    break;
  }
  case Kind::Literal: {
    size_t last = 0;
    for (size_t start; (start = piece.find(stage.literal, last)) != std::string_view::npos;) {
      if (last < start)
        parts.push_back({last, start, false});
      last = start + stage.literal.size();
      parts.push_back({start, last, true});
    }
    if (last < piece.size())
      parts.push_back({last, piece.size(), false});
    break;
  }
  case Kind::WhitespaceSplit:
    partsByCharacter(piece, isWhiteSpace, parts);
    break;
  case Kind::Punctuation:
    partsByCharacter(piece, isBertPunctuation, parts);
    break;
  case Kind::Digits:
    partsByCharacter(piece, isNumeric, parts);
    break;
  case Kind::PrefixSpace:
    break;
  }

  if (stage.invert)
    for (Part &part : parts)
      part.matches = !part.matches;
  auto emit = [&](size_t start, size_t end) {
    if (start < end)
      out.push_back(piece.substr(start, end - start));
  };
  switch (stage.behavior) {
  case Behavior::Removed:
    for (const Part &part : parts)
      if (!part.matches)
        emit(part.start, part.end);
    break;
  case Behavior::Isolated:
    for (const Part &part : parts)
      emit(part.start, part.end);
    break;
  case Behavior::Contiguous:
    for (size_t i = 0, next; i < parts.size(); i = next) {
      for (next = i + 1; next < parts.size() && parts[next].matches == parts[i].matches;)
        ++next;
      emit(parts[i].start, parts[next - 1].end);
    }
    break;
  case Behavior::MergedWithPrevious:
    // A match joins the part before it, unless that part is a match too.
    for (size_t i = 0, next; i < parts.size(); i = next) {
      next = i + 1;
      if (!parts[i].matches && next < parts.size() && parts[next].matches)
        ++next;
      emit(parts[i].start, parts[next - 1].end);
    }
    break;
  case Behavior::MergedWithNext:
    for (size_t i = 0, next; i < parts.size(); i = next) {
      next = i + 1;
      if (parts[i].matches && next < parts.size() && !parts[next].matches)
        ++next;
      emit(parts[i].start, parts[next - 1].end);
    }
    break;
  }
  return {};
}

Status PreTokenizer::split(std::string_view text, std::vector<std::string_view> &pieces,
                           std::deque<std::string> &storage) const {
  pieces.clear();
  if (!text.empty())
    pieces.push_back(text);
  std::vector<std::string_view> before;
  std::vector<Part> parts;
  for (const Stage &stage : stages) {
    if (stage.kind == Kind::PrefixSpace) {
      for (std::string_view &piece : pieces)
        if (piece[0] != ' ')
          piece = storage.emplace_back(" " + std::string(piece));
      continue;
    }
    before.swap(pieces);
    pieces.clear();
    for (std::string_view piece : before)
      MSA_TRY(splitPiece(stage, piece, parts, pieces));
  }
  return {};
}

} // namespace msa::rt::tok
