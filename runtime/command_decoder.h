// SPDX-License-Identifier: Apache-2.0
//
// Verifies and decodes the commands of one entry.

#ifndef MSA_RUNTIME_COMMAND_DECODER_H
#define MSA_RUNTIME_COMMAND_DECODER_H

#include "runtime/program.h"

namespace msa::schema {
struct Entry;
} // namespace msa::schema

namespace msa::rt {

/// Appends the commands of |table| to |program| and sets the command range and operand maxima of |entry|, whose ports and slots are
/// decoded already. Proves, along the one path that commands take: every register is defined before it is read; every slot is
/// live when it is used; inputs and constants are never written; every output is allocated once; a dispatch fits its kernel.
Status decodeCommands(msa_program *program, const schema::Entry *table, Entry *entry);

} // namespace msa::rt

#endif // MSA_RUNTIME_COMMAND_DECODER_H
