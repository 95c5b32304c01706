// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/Normalizer.h"

#include "runtime/tokenizer/BertCharacters.h"
#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>
#include <utf8proc.h>

namespace msa::rt::tok {

using nlohmann::json;

Status Normalizer::load(const json *section, const std::string &path) {
  if (!section)
    return {};
  Status status;
  ObjectReader reader(*section, path, status);
  std::string type = reader.string("type");
  if (type == "Sequence") {
    const json *parts = reader.optional("normalizers");
    if (status.ok() && (!parts || !parts->is_array()))
      status = fileError(reader.pathOf("normalizers") + ": expected an array");
    for (size_t i = 0; status.ok() && i < parts->size(); ++i)
      status = load(&(*parts)[i], reader.pathOf("normalizers") + "[" + std::to_string(i) + "]");
  } else if (type == "BertNormalizer") {
    bool cleanText = reader.boolean("clean_text", true);
    bool spaceIdeographs = reader.boolean("handle_chinese_chars", true);
    bool lowercase = reader.boolean("lowercase", true);
    bool stripAccents = reader.boolean("strip_accents", lowercase);
    if (cleanText)
      steps.push_back(Step::CleanText);
    if (spaceIdeographs)
      steps.push_back(Step::SpaceIdeographs);
    if (stripAccents)
      steps.push_back(Step::StripNonspacingMarks);
    if (lowercase)
      steps.push_back(Step::Lowercase);
  } else {
    static constexpr std::pair<const char *, Step> kPlain[] = {{"NFC", Step::NFC},
                                                               {"NFD", Step::NFD},
                                                               {"NFKC", Step::NFKC},
                                                               {"NFKD", Step::NFKD},
                                                               {"Lowercase", Step::Lowercase},
                                                               {"StripAccents", Step::StripMarks}};
    auto found = std::find_if(std::begin(kPlain), std::end(kPlain), [&](auto &entry) { return type == entry.first; });
    if (found != std::end(kPlain))
      steps.push_back(found->second);
    else if (status.ok())
      status = unsupported(reader.pathOf("type") + ": normalizer " + inQuotes(type) + " is not supported");
  }
  reader.finish();
  if (status.ok() && steps.size() > 64)
    status = fileError(path + ": expected at most 64 steps");
  return status;
}

namespace {

size_t asciiRun(std::string_view text, size_t start) {
  size_t end = start;
  while (end < text.size() && static_cast<unsigned char>(text[end]) < 0x80)
    ++end;
  return end;
}

size_t nonAsciiRun(std::string_view text, size_t start) {
  size_t end = start;
  while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x80)
    ++end;
  return end;
}

unsigned combiningClass(utf8proc_int32_t character) {
  return static_cast<unsigned>(utf8proc_get_property(character)->combining_class);
}

/// Decomposes |part| into |characters| and puts marks in canonical order. utf8proc's own ordering takes quadratic time
/// on long runs of marks, which hostile text can hold.
void decompose(std::string_view part, utf8proc_option_t options, std::vector<utf8proc_int32_t> &characters) {
  characters.clear();
  std::vector<uint64_t> sortable;
  for (size_t position = 0; position < part.size();) {
    auto character = static_cast<utf8proc_int32_t>(nextCharacter(part, position));
    utf8proc_int32_t pieces[32]; // the longest decomposition in Unicode has 18
    int boundary = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(character, pieces, 32, options, &boundary);
    if (count < 0 || count > 32)
      characters.push_back(character);
    else
      characters.insert(characters.end(), pieces, pieces + count);
  }
  for (size_t start = 0; start < characters.size();) {
    if (combiningClass(characters[start]) == 0) {
      ++start;
      continue;
    }
    size_t end = start + 1;
    while (end < characters.size() && combiningClass(characters[end]) != 0)
      ++end;
    if (end - start > 1) {
      // Class, then place, then the mark itself (21 bits), in one number each: a stable sort.
      sortable.clear();
      for (size_t i = start; i < end; ++i)
        sortable.push_back(uint64_t(combiningClass(characters[i])) << 56 | uint64_t(i - start) << 21 |
                           uint64_t(characters[i]));
      std::sort(sortable.begin(), sortable.end());
      for (size_t i = start; i < end; ++i)
        characters[i] = static_cast<utf8proc_int32_t>(sortable[i - start] & 0x1FFFFF);
    }
    start = end;
  }
}

/// ASCII is the same in all four forms, and only the last character of an ASCII run can combine with what follows.
template <typename Emit>
void normalizeForm(const std::string &text, std::string &out, bool compose, bool compatible, Emit &&emit) {
  auto options =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> characters;
  for (size_t start = 0; start < text.size();) {
    size_t end = asciiRun(text, start);
    if (end == text.size()) {
      out.append(text, start);
      return;
    }
    if (end > start) {
      out.append(text, start, end - 1 - start);
      start = end - 1;
    }
    end = nonAsciiRun(text, end);
    decompose(std::string_view(text).substr(start, end - start), options, characters);
    if (compose) {
      utf8proc_ssize_t length =
          utf8proc_normalize_utf32(characters.data(), static_cast<utf8proc_ssize_t>(characters.size()),
                                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
      if (length >= 0)
        characters.resize(static_cast<size_t>(length));
    }
    for (utf8proc_int32_t character : characters)
      emit(static_cast<char32_t>(character));
    start = end;
  }
}

bool isMark(char32_t character) {
  utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(character));
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

/// Calls |each| for every character that is not ASCII and copies ASCII through |ascii|, byte by byte.
template <typename Ascii, typename Each> void transform(const std::string &text, Ascii &&ascii, Each &&each) {
  for (size_t position = 0; position < text.size();) {
    if (static_cast<unsigned char>(text[position]) < 0x80)
      ascii(text[position++]);
    else
      each(nextCharacter(text, position));
  }
}

void lowercase(const std::string &text, std::string &out) {
  transform(
      text, [&](char c) { out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c); },
      [&](char32_t c) {
        if (c == 0x130) // the only character whose lower case is two characters
          out.append("i\xCC\x87");
        else
          appendCharacter(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
      });
}

void cleanText(const std::string &text, std::string &out) {
  transform(
      text,
      [&](char c) {
        if (c == '\t' || c == '\n' || c == '\r')
          out.push_back(' ');
        else if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F)
          out.push_back(c);
      },
      [&](char32_t c) {
        if (!isBertControl(c))
          appendCharacter(isWhiteSpace(c) ? ' ' : c, out);
      });
}

void spaceIdeographs(const std::string &text, std::string &out) {
  transform(
      text, [&](char c) { out.push_back(c); },
      [&](char32_t c) {
        bool spaced = isBertIdeograph(c);
        if (spaced)
          out.push_back(' ');
        appendCharacter(c, out);
        if (spaced)
          out.push_back(' ');
      });
}

} // namespace

void Normalizer::apply(std::string &text) const {
  std::string out;
  for (Step step : steps) {
    bool ascii = asciiRun(text, 0) == text.size();
    if (ascii && step != Step::CleanText && step != Step::Lowercase)
      continue; // the other steps leave ASCII alone
    out.clear();
    out.reserve(text.size());
    auto keep = [&](char32_t c) { appendCharacter(c, out); };
    switch (step) {
    case Step::NFC:
      normalizeForm(text, out, true, false, keep);
      break;
    case Step::NFD:
      normalizeForm(text, out, false, false, keep);
      break;
    case Step::NFKC:
      normalizeForm(text, out, true, true, keep);
      break;
    case Step::NFKD:
      normalizeForm(text, out, false, true, keep);
      break;
    case Step::Lowercase:
      lowercase(text, out);
      break;
    case Step::StripMarks:
      transform(
          text, [&](char c) { out.push_back(c); },
          [&](char32_t c) {
            if (!isMark(c))
              keep(c);
          });
      break;
    case Step::CleanText:
      cleanText(text, out);
      break;
    case Step::SpaceIdeographs:
      spaceIdeographs(text, out);
      break;
    case Step::StripNonspacingMarks:
      normalizeForm(text, out, false, false, [&](char32_t c) {
        if (!isBertAccent(c))
          keep(c);
      });
      break;
    }
    text.swap(out);
  }
}

} // namespace msa::rt::tok
