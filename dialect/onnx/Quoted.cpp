// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/Quoted.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ConvertUTF.h"
#include "llvm/Support/Unicode.h"

using namespace llvm;

/// The length of the well-formed UTF-8 sequence at the start of `text`, whose code point goes to `point`; 0 if there is none.
static size_t decode(StringRef text, UTF32 &point) {
  auto *begin = reinterpret_cast<const UTF8 *>(text.data());
  const UTF8 *next = begin;
  if (text.empty() || !isLegalUTF8Sequence(begin, begin + text.size()) ||
      convertUTF8Sequence(&next, begin + std::min<size_t>(text.size(), getNumBytesForUTF8(*begin)), &point,
                          strictConversion) != conversionOK)
    return 0;
  return next - begin;
}

/// Appends the start of `text` to `out`, escaped, until at least `limit` bytes are done. Returns what is left.
static StringRef escape(StringRef text, size_t limit, std::string &out) {
  StringRef rest = text;
  while (!rest.empty() && text.size() - rest.size() < limit) {
    UTF32 point = 0;
    size_t length = decode(rest, point);
    if (length && sys::unicode::isPrintable(point)) {
      out += rest.take_front(length);
    } else {
      length = 1;
      out += "\\x";
      out += hexdigit(static_cast<uint8_t>(rest.front()) >> 4);
      out += hexdigit(static_cast<uint8_t>(rest.front()) & 15);
    }
    rest = rest.drop_front(length);
  }
  return rest;
}

std::string msa::onnx::quoted(StringRef text) {
  std::string out = "'";
  if (!escape(text, 160, out).empty())
    out += "...";
  return out + "'";
}

std::string msa::onnx::printable(StringRef text) {
  std::string out;
  escape(text, text.size(), out);
  return out;
}

bool msa::onnx::isText(StringRef text) {
  while (!text.empty()) {
    UTF32 point = 0;
    size_t length = decode(text, point);
    if (!length || !point)
      return false;
    text = text.drop_front(length);
  }
  return true;
}
