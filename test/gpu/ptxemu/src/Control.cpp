// SPDX-License-Identifier: Apache-2.0
//
// Branches, calls, ends of threads, and instructions that a CPU need not act on.

#include "Decode.h"
#include "Handlers.h"
#include "Lanes.h"
#include "Barriers.h"

namespace ptxemu {

/// Puts lanes of the running split elsewhere.
static void detach(Warp &warp, uint32_t lanes, uint32_t pc) {
  Split made;
  made.pc = pc;
  made.mask = lanes;
  warp.split->mask &= ~lanes;
  size_t at = size_t(warp.split - warp.splits.data());
  warp.splits.push_back(made);
  warp.split = &warp.splits[at];
}

static Step branch(Warp &warp, const Insn &insn, uint32_t mask) {
  if (mask == warp.split->mask) {
    warp.split->pc = insn.target;
    return Step::Jump;
  }
  detach(warp, mask, insn.target);
  ++warp.split->pc;
  return Step::Jump;
}

/// slots[1]: index; list 0: targets.
static Step branchIndexed(Warp &warp, const Insn &insn, uint32_t mask) {
  const uint32_t *index = warp.u32(insn.slots[1]);
  const int32_t *targets = warp.code->list(insn, 0);
  uint32_t next = warp.split->pc + 1, all = warp.split->mask;
  for (uint32_t rest = mask; rest;) {
    uint32_t choice = index[lowestLane(rest)], lanes = 0;
    for (uint32_t others = rest; others; others &= others - 1)
      if (index[lowestLane(others)] == choice)
        lanes |= others & -others;
    if (choice >= insn.lists[0].count)
      warp.grid->stop(ReportKind::OutOfBounds, Grid::placeOf(warp, lowestLane(lanes)),
                      "branch index " + std::to_string(choice) + " in a table of " + std::to_string(insn.lists[0].count));
    rest &= ~lanes;
    if (lanes == warp.split->mask) {
      warp.split->pc = uint32_t(targets[choice]);
      return Step::Jump;
    }
    detach(warp, lanes, uint32_t(targets[choice]));
  }
  if (mask != all)
    warp.split->pc = next;
  return Step::Jump;
}

Step callFunction(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t *back = warp.u32(insn.slots[0]);
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
    back[lowestLane(lanes)] = warp.split->pc + 1;
  return branch(warp, insn, mask);
}

Step returnFromFunction(Warp &warp, const Insn &insn, uint32_t mask) {
  const uint32_t *back = warp.u32(insn.slots[1]);
  uint32_t next = warp.split->pc + 1, all = warp.split->mask;
  for (uint32_t rest = mask; rest;) {
    uint32_t pc = back[lowestLane(rest)], lanes = 0;
    for (uint32_t others = rest; others; others &= others - 1)
      if (back[lowestLane(others)] == pc)
        lanes |= others & -others;
    rest &= ~lanes;
    if (lanes == warp.split->mask) {
      warp.split->pc = pc;
      return Step::Jump;
    }
    detach(warp, lanes, pc);
  }
  if (mask != all)
    warp.split->pc = next;
  return Step::Jump;
}

Step exitThreads(Warp &warp, const Insn &, uint32_t mask) {
  warp.live &= ~mask;
  warp.split->mask &= ~mask;
  ++warp.split->pc;
  ++warp.grid->progress;
  if (!warp.live) {
    --warp.cta->liveWarps;
    --warp.cluster->liveWarps;
  }
  recheckBarriers(warp);
  return Step::Jump;
}

static Step trap(Warp &warp, const Insn &, uint32_t mask) {
  warp.grid->stop(ReportKind::Trap, Grid::placeOf(warp, lowestLane(mask)), "trap");
}

/// Text that kernels point to; cut where memory ends.
static std::string stringAt(Warp &warp, uint64_t address) {
  std::string text;
  for (; text.size() < 4096; ++address) {
    LaunchRange *range = warp.grid->rangeOf(address);
    if (!range || !range->live)
      break;
    char c = char(range->host[address - range->begin]);
    if (!c)
      break;
    text += c;
  }
  return text;
}

Step assertionFailed(Warp &warp, const Insn &insn, uint32_t mask) {
  uint64_t message = 0;
  if (insn.immediate + 8 <= int64_t(warp.code->localBytes))
    std::memcpy(&message, warp.localOf(uint32_t(lowestLane(mask))) + insn.immediate, 8);
  warp.grid->stop(ReportKind::Trap, Grid::placeOf(warp, lowestLane(mask)), "assertion failed: " + stringAt(warp, message));
}

/// Arguments lie in a buffer in local memory that the caller filled: 4 or 8 bytes each, aligned to their size.
Step printFormatted(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t lane = uint32_t(lowestLane(lanes));
    uint8_t *local = warp.localOf(lane);
    uint64_t formatAddress = 0, at = 0;
    std::memcpy(&formatAddress, local + insn.immediate, 8);
    std::memcpy(&at, local + insn.target, 8);
    std::string format = stringAt(warp, formatAddress), &output = warp.grid->result.output;
    uint64_t offset = inWindow(at, localWindow) ? at - localWindow : ~uint64_t(0) >> 1;
    for (size_t i = 0; i < format.size() && output.size() < (1u << 20); ++i) {
      if (format[i] != '%') {
        output += format[i];
        continue;
      }
      size_t end = format.find_first_of("diouxXcsfFeEgGaAp%", i + 1);
      if (end == std::string::npos)
        break;
      std::string conversion = format.substr(i, end - i + 1);
      i = end;
      char kind = conversion.back();
      if (kind == '%') {
        output += '%';
        continue;
      }
      bool floating = std::string_view("fFeEgGaA").find(kind) != std::string_view::npos;
      uint64_t size = floating || kind == 's' || kind == 'p' || conversion.find('l') != std::string::npos ? 8 : 4, value = 0;
      offset = (offset + size - 1) / size * size;
      if (offset + size <= warp.code->localBytes)
        std::memcpy(&value, local + offset, size);
      offset += size;
      char text[128] = "";
      // Width and precision are kept, the length is always ours; `*` takes no argument here.
      std::string flags;
      for (char c : conversion.substr(0, conversion.size() - 1))
        if (c != 'l' && c != 'h' && c != 'z' && c != 'j' && c != '*')
          flags += c;
      if (flags.size() > 10)
        flags = "%";
      if (kind == 's') {
        output += stringAt(warp, value);
        continue;
      }
      if (floating)
        std::snprintf(text, sizeof text, (flags + kind).c_str(), std::bit_cast<double>(value));
      else if (kind == 'p')
        std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
      else if (kind == 'c')
        std::snprintf(text, sizeof text, "%c", int(value));
      else if (kind == 'd' || kind == 'i')
        std::snprintf(text, sizeof text, (flags + "lld").c_str(), size == 4 ? static_cast<long long>(int32_t(value)) : static_cast<long long>(value));
      else
        std::snprintf(text, sizeof text, (flags + "ll" + kind).c_str(), static_cast<unsigned long long>(value));
      output += text;
    }
    uint32_t zero = 0;
    std::memcpy(local + insn.slots[0], &zero, 4);
  }
  return Step::Next;
}

namespace {

/// nanosleep and the like: the others may run.
Step rest(Warp &warp, const Insn &, uint32_t) {
  warp.spinning = true;
  return Step::Next;
}

void decodeBranch(Decoding &d) {
  d.take("uni");
  d.expectOperands(1, 1);
  if (d.operand(0).kind != Operand::Kind::Name || d.operand(0).hasSymbol)
    d.fail("expected a label");
  d.label = d.operand(0).name;
  d.insn.handler = branch;
}

void decodeBranchIndexed(Decoding &d) {
  if (!d.take("idx"))
    d.fail("expected brx.idx");
  d.take("uni");
  d.expectOperands(2, 2);
  d.insn.slots[1] = d.read(0, Type::B32);
  const Operand &targets = d.operand(1);
  if (targets.kind == Operand::Kind::Vector) {
    for (const Operand &element : targets.elements)
      d.labels.push_back(element.name);
    if (d.labels.empty())
      d.fail("the table is empty");
  } else if (targets.kind == Operand::Kind::Name && !targets.hasSymbol) {
    d.tableName = targets.name;
  } else {
    d.fail("expected a table of labels");
  }
  d.insn.handler = branchIndexed;
}

void decodeEnd(Decoding &d) {
  d.take("uni");
  d.expectOperands(0, 0);
  d.insn.handler = exitThreads;
}

} // namespace

void addControlDecoders(DecoderTable &table) {
  table["bra"] = decodeBranch;
  table["brx"] = decodeBranchIndexed;
  table["call"] = [](Decoding &d) { d.fail("is decoded by the parser"); };
  table["ret"] = decodeEnd;
  table["exit"] = decodeEnd;
  table["trap"] = [](Decoding &d) {
    d.expectOperands(0, 0);
    d.insn.handler = trap;
  };
  table["brkpt"] = table["trap"];
  table["nanosleep"] = [](Decoding &d) {
    if (d.takeType() != Type::U32)
      d.fail("expected .u32");
    d.expectOperands(1, 1);
    d.read(0, Type::U32);
    d.insn.handler = rest;
  };
  table["pmevent"] = [](Decoding &d) {
    d.take("mask");
    d.expectOperands(1, 1);
    d.immediate(0);
    d.insn.handler = nothing;
  };
  // Launches run one after the other: what a dependent launch waits for has happened.
  table["griddepcontrol"] = [](Decoding &d) {
    if (d.takeOneOf({"launch_dependents", "wait"}) < 0)
      d.fail("expected .launch_dependents or .wait");
    d.expectOperands(0, 0);
    d.insn.handler = nothing;
  };
}

} // namespace ptxemu
