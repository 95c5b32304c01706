// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_DIALECT_ONNX_QUOTED_H
#define MSA_DIALECT_ONNX_QUOTED_H

#include "llvm/ADT/StringRef.h"
#include <string>

namespace msa::onnx {

/// `text` in single quotes for a message. Text that comes from a file may hold anything: control characters, terminal
/// escapes, marks that reorder a line and invalid UTF-8 come out as \xNN, and anything past 160 bytes as "...".
std::string quoted(llvm::StringRef text);

/// `text` for a terminal, whole and without quotes, escaped in the same way. Line breaks too: one message stays one line.
std::string printable(llvm::StringRef text);

/// Whether `text` is UTF-8 without NUL: what a name must be to live on in an artifact.
bool isText(llvm::StringRef text);

} // namespace msa::onnx

#endif // MSA_DIALECT_ONNX_QUOTED_H
