// SPDX-License-Identifier: Apache-2.0

#include "runtime/command_decoder.h"

#include "runtime/printable_text.h"
#include "runtime/schema/msa_artifact_generated.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

namespace msa::rt {

const char *opName(Op op) {
  static const char *const names[] = {"const", "binary", "select", "assert", "alloc", "free", "copy", "load", "store", "dispatch"};
  return names[unsigned(op)];
}

namespace {

class CommandDecoder {
public:
  CommandDecoder(msa_program *program, const schema::Entry *table, Entry *entry)
      : program(program), table(table), entry(entry), defined(program->allocator), live(program->allocator) {}

  Status decode() {
    if (!defined.resize(entry->registerCount) || !live.resize(entry->slotCount))
      return outOfMemory();
    for (uint32_t i = 0; i < entry->inputCount; ++i) {
      const Port &input = program->ports[entry->firstInput + i];
      for (uint32_t j = 0; j < input.rank; ++j)
        if (uint32_t reg = program->dims[input.firstDim + j].reg; reg != kNone)
          defined[reg] = 1;
    }
    for (uint32_t i = 0; i < entry->slotCount; ++i) {
      SlotKind kind = program->slots[entry->firstSlot + i].kind;
      live[i] = kind == SlotKind::kInput || kind == SlotKind::kConstant;
    }

    entry->firstCommand = uint32_t(program->commands.size());
    entry->commandCount = table->commands() ? table->commands()->size() : 0;
    for (index = 0; index < entry->commandCount; ++index)
      MSA_TRY(command(table->commands()->Get(index)));

    for (uint32_t i = 0; i < entry->outputCount; ++i) {
      const Port &output = program->ports[entry->firstOutput + i];
      if (!live[output.slot])
        return failure(MSA_INVALID_ARTIFACT, "entry '%s': no command allocates output '%s'", entry->name, output.name);
      for (uint32_t j = 0; j < output.rank; ++j)
        if (uint32_t reg = program->dims[output.firstDim + j].reg; reg != kNone && !defined[reg])
          return failure(MSA_INVALID_ARTIFACT, "entry '%s': dim %u of output '%s' is register %u, which nothing defines",
                         entry->name, j, output.name, reg);
    }
    return {};
  }

private:
  Status refuse(const char *format, ...) __attribute__((format(printf, 2, 3))) {
    char detail[256];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    return failure(MSA_INVALID_ARTIFACT, "entry '%s', command %u (%s): %s", entry->name, index, name, detail);
  }

  Status use(uint32_t reg) {
    if (reg >= entry->registerCount)
      return refuse("register %u is outside the entry's %u", reg, entry->registerCount);
    if (!defined[reg])
      return refuse("register %u is read before anything defines it", reg);
    return {};
  }
  Status define(uint32_t reg) {
    if (reg >= entry->registerCount)
      return refuse("register %u is outside the entry's %u", reg, entry->registerCount);
    defined[reg] = 1;
    return {};
  }
  Status slot(uint32_t number) {
    if (number >= entry->slotCount)
      return refuse("slot %u is outside the entry's %u", number, entry->slotCount);
    return {};
  }
  const Slot &slotAt(uint32_t number) const { return program->slots[entry->firstSlot + number]; }
  Status readable(uint32_t number) {
    MSA_TRY(slot(number));
    if (!live[number])
      return refuse("slot %u is used before its alloc or after its free", number);
    return {};
  }
  Status writable(uint32_t number) {
    MSA_TRY(readable(number));
    SlotKind kind = slotAt(number).kind;
    if (kind == SlotKind::kInput || kind == SlotKind::kConstant)
      return refuse("slot %u is written but is %s", number, kind == SlotKind::kInput ? "an input" : "a constant");
    return {};
  }

  Status command(const schema::CommandHolder *holder) {
    Command decoded = {};
    switch (holder->command_type()) {
    case schema::Command::Const: {
      name = "const";
      const auto *c = holder->command_as_Const();
      MSA_TRY(define(c->register_()));
      decoded.op = Op::kConst;
      decoded.a = c->register_();
      decoded.value = c->value();
      break;
    }
    case schema::Command::Binary: {
      name = "binary";
      const auto *c = holder->command_as_Binary();
      uint32_t kind = uint32_t(c->kind());
      if (kind > uint32_t(schema::BinaryKind::OR))
        return refuse("operation %u is not one of 0 to %u", kind, unsigned(schema::BinaryKind::OR));
      MSA_TRY(use(c->lhs()));
      MSA_TRY(use(c->rhs()));
      MSA_TRY(define(c->register_()));
      decoded.op = Op::kBinary;
      decoded.kind = uint8_t(kind);
      decoded.a = c->register_();
      decoded.b = c->lhs();
      decoded.c = c->rhs();
      break;
    }
    case schema::Command::Select: {
      name = "select";
      const auto *c = holder->command_as_Select();
      MSA_TRY(use(c->condition()));
      MSA_TRY(use(c->if_true()));
      MSA_TRY(use(c->if_false()));
      MSA_TRY(define(c->register_()));
      decoded.op = Op::kSelect;
      decoded.a = c->register_();
      decoded.b = c->condition();
      decoded.c = c->if_true();
      decoded.d = c->if_false();
      break;
    }
    case schema::Command::Assert: {
      name = "assert";
      const auto *c = holder->command_as_Assert();
      MSA_TRY(use(c->condition()));
      decoded.op = Op::kAssert;
      decoded.a = c->condition();
      decoded.b = uint32_t(program->operands.size());
      decoded.c = c->values() ? c->values()->size() : 0;
      if (!isPrintableText(c->message()->c_str(), c->message()->size()))
        return refuse("its message is not UTF-8 text without control characters");
      decoded.text = c->message()->c_str();
      MSA_TRY(registers(c->values()));
      break;
    }
    case schema::Command::Alloc: {
      name = "alloc";
      const auto *c = holder->command_as_Alloc();
      MSA_TRY(slot(c->slot()));
      MSA_TRY(use(c->size()));
      SlotKind kind = slotAt(c->slot()).kind;
      if (kind != SlotKind::kArena && kind != SlotKind::kOutput)
        return refuse("slot %u is %s; only arena and output slots are allocated", c->slot(),
                      kind == SlotKind::kInput ? "an input" : "a constant");
      if (live[c->slot()])
        return refuse("slot %u is allocated already", c->slot());
      live[c->slot()] = 1;
      decoded.op = Op::kAlloc;
      decoded.a = c->slot();
      decoded.b = c->size();
      break;
    }
    case schema::Command::Free: {
      name = "free";
      const auto *c = holder->command_as_Free();
      MSA_TRY(readable(c->slot()));
      if (slotAt(c->slot()).kind != SlotKind::kArena)
        return refuse("slot %u is not an arena slot; only those are freed", c->slot());
      live[c->slot()] = 0;
      decoded.op = Op::kFree;
      decoded.a = c->slot();
      break;
    }
    case schema::Command::Copy: {
      name = "copy";
      const auto *c = holder->command_as_Copy();
      MSA_TRY(writable(c->target()));
      MSA_TRY(readable(c->source()));
      MSA_TRY(use(c->target_offset()));
      MSA_TRY(use(c->source_offset()));
      MSA_TRY(use(c->size()));
      decoded.op = Op::kCopy;
      decoded.a = c->target();
      decoded.b = c->target_offset();
      decoded.c = c->source();
      decoded.d = c->source_offset();
      decoded.e = c->size();
      break;
    }
    case schema::Command::Load: {
      name = "load";
      const auto *c = holder->command_as_Load();
      MSA_TRY(readable(c->slot()));
      MSA_TRY(byteOffset(c->offset()));
      MSA_TRY(define(c->register_()));
      decoded.op = Op::kLoad;
      decoded.a = c->register_();
      decoded.b = c->slot();
      decoded.value = int64_t(c->offset());
      break;
    }
    case schema::Command::Store: {
      name = "store";
      const auto *c = holder->command_as_Store();
      MSA_TRY(writable(c->slot()));
      MSA_TRY(byteOffset(c->offset()));
      MSA_TRY(use(c->register_()));
      decoded.op = Op::kStore;
      decoded.a = c->slot();
      decoded.b = c->register_();
      decoded.value = int64_t(c->offset());
      break;
    }
    case schema::Command::Dispatch:
      name = "dispatch";
      MSA_TRY(dispatch(holder->command_as_Dispatch(), &decoded));
      break;
    default:
      name = "unknown";
      return refuse("kind %u is not one that this format version has", unsigned(holder->command_type()));
    }
    if (!program->commands.push(decoded))
      return outOfMemory();
    return {};
  }

  Status dispatch(const schema::Dispatch *c, Command *decoded) {
    if (c->kernel() >= program->kernels.size())
      return refuse("kernel %u is outside the program's %zu", c->kernel(), program->kernels.size());
    const Kernel &kernel = program->kernels[c->kernel()];
    uint32_t buffers = c->buffers() ? c->buffers()->size() : 0, scalars = c->scalars() ? c->scalars()->size() : 0;
    if (buffers != kernel.parameterCount)
      return refuse("kernel '%.100s' takes %u buffers, the command gives %u", kernel.symbol, kernel.parameterCount, buffers);
    if (scalars != kernel.scalarCount)
      return refuse("kernel '%.100s' takes %u scalars, the command gives %u", kernel.symbol, kernel.scalarCount, scalars);
    MSA_TRY(use(c->tiles()));
    decoded->op = Op::kDispatch;
    decoded->a = c->kernel();
    decoded->b = c->tiles();
    decoded->c = uint32_t(program->operands.size());
    if (c->location() && !isPrintableText(c->location()->c_str(), c->location()->size()))
      return refuse("its location is not UTF-8 text without control characters");
    decoded->text = c->location() ? c->location()->c_str() : "";
    for (uint32_t i = 0; i < buffers; ++i) {
      uint32_t number = c->buffers()->Get(i);
      ParameterKind kind = program->parameters[kernel.firstParameter + i];
      if (kind == ParameterKind::kWrite || kind == ParameterKind::kUpdate)
        MSA_TRY(writable(number));
      else
        MSA_TRY(readable(number));
      if (kind == ParameterKind::kSpans) {
        const Slot &slot = slotAt(number);
        if (slot.kind != SlotKind::kInput || !program->ports[entry->firstInput + slot.index].spans)
          return refuse("parameter %u of kernel '%.100s' takes spans, but slot %u is no input that may be bound as spans", i,
                        kernel.symbol, number);
      }
      if (!program->operands.push(number))
        return outOfMemory();
    }
    MSA_TRY(registers(c->scalars()));
    entry->maxBuffers = std::max(entry->maxBuffers, buffers);
    entry->maxScalars = std::max(entry->maxScalars, scalars);
    return {};
  }

  Status byteOffset(uint64_t offset) {
    if (offset % 8)
      return refuse("byte offset %" PRIu64 " is not a multiple of 8", offset);
    if (offset > uint64_t(INT64_MAX) - 8)
      return refuse("byte offset %" PRIu64 " is past any slot", offset);
    return {};
  }

  Status registers(const flatbuffers::Vector<uint32_t> *list) {
    for (uint32_t i = 0; i < (list ? list->size() : 0); ++i) {
      MSA_TRY(use(list->Get(i)));
      if (!program->operands.push(list->Get(i)))
        return outOfMemory();
    }
    return {};
  }

  msa_program *program;
  const schema::Entry *table;
  Entry *entry;
  uint32_t index = 0;
  const char *name = "";
  Vector<uint8_t> defined; // registers
  Vector<uint8_t> live;    // slots
};

} // namespace

Status decodeCommands(msa_program *program, const schema::Entry *table, Entry *entry) {
  return CommandDecoder(program, table, entry).decode();
}

} // namespace msa::rt
