// SPDX-License-Identifier: Apache-2.0
//
// Handlers that others than their own decoders refer to.

#pragma once

#include "Program.h"

namespace ptxemu {

Step exitThreads(Warp &warp, const Insn &insn, uint32_t mask);
/// slots[1]: where the caller left the pc to return to.
Step returnFromFunction(Warp &warp, const Insn &insn, uint32_t mask);
/// slots[0]: where to leave the pc to return to; target.
Step callFunction(Warp &warp, const Insn &insn, uint32_t mask);
/// slots[0] bytes of each lane's local memory from offset `target` to offset `immediate`.
Step copyLocal(Warp &warp, const Insn &insn, uint32_t mask);
Step moveRegister32(Warp &warp, const Insn &insn, uint32_t mask);
Step moveRegister64(Warp &warp, const Insn &insn, uint32_t mask);
/// immediate: local offset of the pointer to the message.
Step assertionFailed(Warp &warp, const Insn &insn, uint32_t mask);
/// immediate, target: local offsets of the pointers to format and arguments; slots[0]: of the result.
Step printFormatted(Warp &warp, const Insn &insn, uint32_t mask);
Step wgmmaIssue(Warp &warp, const Insn &insn, uint32_t mask);
/// Does nothing, for instructions without an observable effect here.
Step nothing(Warp &warp, const Insn &insn, uint32_t mask);

} // namespace ptxemu
