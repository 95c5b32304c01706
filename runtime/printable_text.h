// SPDX-License-Identifier: Apache-2.0
//
// Which strings of a file may be shown to people.

#ifndef MSA_RUNTIME_PRINTABLE_TEXT_H
#define MSA_RUNTIME_PRINTABLE_TEXT_H

#include <cstddef>

namespace msa::rt {

/// Whether |size| bytes at |text| are well-formed UTF-8 without control characters: such text can be printed, compared and used as
/// a C string, and cannot move a terminal's cursor.
bool isPrintableText(const char *text, size_t size);

} // namespace msa::rt

#endif // MSA_RUNTIME_PRINTABLE_TEXT_H
