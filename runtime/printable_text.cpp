// SPDX-License-Identifier: Apache-2.0

#include "runtime/printable_text.h"

#include <cstdint>

namespace msa::rt {

bool isPrintableText(const char *text, size_t size) {
  const uint8_t *at = reinterpret_cast<const uint8_t *>(text), *end = at + size;
  while (at < end) {
    uint32_t lead = *at++, more = 0, smallest = 0, code = lead;
    if (lead < 0x80) {
      if (lead < 0x20 || lead == 0x7f)
        return false;
      continue;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
      more = 1, smallest = 0x80, code = lead & 0x1f;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      more = 2, smallest = 0x800, code = lead & 0x0f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      more = 3, smallest = 0x10000, code = lead & 0x07;
    } else {
      return false;
    }
    for (; more; --more) {
      if (at == end || (*at & 0xc0) != 0x80)
        return false;
      code = code << 6 | (*at++ & 0x3f);
    }
    if (code < smallest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) || (code >= 0x80 && code < 0xa0))
      return false;
  }
  return true;
}

} // namespace msa::rt
