// SPDX-License-Identifier: Apache-2.0
//
// From the tables of an artifact to the arrays that run: segments, variants, kernels, constants and what an entry declares. The
// commands of an entry are in command_decoder.cpp. Every refusal says which table, what was expected and what was found.

#include "runtime/command_decoder.h"
#include "runtime/gpu_decoder.h"
#include "runtime/gpu_variant.h"
#include "runtime/printable_text.h"
#include "runtime/program.h"
#include "runtime/schema/msa_artifact_generated.h"

#include <algorithm>
#include <cinttypes>

namespace msa::rt {

namespace {

// Far above what a compiler writes, far below what would make an index or a product overflow.
constexpr uint32_t kMaxKernels = 1u << 16;
constexpr uint32_t kMaxParameters = 1024;
constexpr uint64_t kMaxScratch = uint64_t(1) << 30;
constexpr uint32_t kMaxPorts = 1u << 14;
constexpr uint32_t kMaxRegisters = 1u << 20;
constexpr uint32_t kMaxSlots = 1u << 20;

template <typename T> uint32_t length(const T *vector) { return vector ? vector->size() : 0; }

const char *text(const flatbuffers::String *string) { return string ? string->c_str() : ""; }

bool isPrintable(const flatbuffers::String *string) { return !string || isPrintableText(string->c_str(), string->size()); }

Status checkName(const flatbuffers::String *name, const char *what, uint32_t index) {
  if (!name || name->size() == 0)
    return failure(MSA_INVALID_ARTIFACT, "%s %u: its name is empty", what, index);
  if (!isPrintable(name))
    return failure(MSA_INVALID_ARTIFACT, "%s %u: its name '%.100s' is not UTF-8 text without control characters", what, index,
                   name->c_str());
  return {};
}

class Decoder {
public:
  explicit Decoder(msa_program *program)
      : program(program), root(program->root), names(program->allocator) {}

  Status decode() {
    MSA_TRY(segments());
    MSA_TRY(variants());
    MSA_TRY(kernels());
    MSA_TRY(gpuVariants());
    MSA_TRY(constants());
    MSA_TRY(provenance());
    return entries();
  }

private:
  Status segments() {
    for (uint32_t i = 0; i < length(root->segments()); ++i)
      if (!isPrintable(root->segments()->Get(i)->name()))
        return failure(MSA_INVALID_ARTIFACT, "segment %u: its name is not UTF-8 text without control characters", i);
    return {};
  }

  Status segmentOfKind(uint32_t index, schema::SegmentKind kind, const char *what, uint32_t owner) {
    uint32_t count = length(root->segments());
    if (index >= count)
      return failure(MSA_INVALID_ARTIFACT, "%s %u: names segment %u of %u", what, owner, index, count);
    if (root->segments()->Get(index)->kind() != kind)
      return failure(MSA_INVALID_ARTIFACT, "%s %u: names segment %u, which is not of kind '%s'", what, owner, index,
                     schema::EnumNameSegmentKind(kind));
    return {};
  }

  Status variants() {
    names.clear();
    for (uint32_t i = 0; i < length(root->variants()); ++i) {
      const schema::Variant *variant = root->variants()->Get(i);
      MSA_TRY(checkName(variant->name(), "variant", i));
      bool gpu = isGpuVariant(variant->name()->c_str());
      MSA_TRY(segmentOfKind(variant->segment(), gpu ? schema::SegmentKind::PTX : schema::SegmentKind::KERNELS, "variant", i));
      if (!gpu && (length(variant->gpu_kernels()) || length(variant->cubins())))
        return failure(MSA_INVALID_ARTIFACT, "variant %u '%.100s': it has GPU kernels or cubins but no GPU's name, 'cuda:...'", i,
                       variant->name()->c_str());
      if (!names.push(variant->name()->c_str()))
        return outOfMemory();
    }
    if (length(root->kernels()) && names.empty())
      return failure(MSA_INVALID_ARTIFACT, "the program has %u kernels but no variant that holds their code",
                     length(root->kernels()));
    return distinct("variants", "the program");
  }

  Status kernels() {
    uint32_t count = length(root->kernels());
    if (count > kMaxKernels)
      return failure(MSA_INVALID_ARTIFACT, "the program has %u kernels, expected at most %u", count, kMaxKernels);
    for (uint32_t i = 0; i < count; ++i) {
      const schema::Kernel *kernel = root->kernels()->Get(i);
      MSA_TRY(checkName(kernel->symbol(), "kernel", i));
      Kernel decoded = {kernel->symbol()->c_str(), nullptr, kernel->scratch_bytes(), uint32_t(program->parameters.size()),
                        length(kernel->parameters()), kernel->scalar_count()};
      if (decoded.parameterCount > kMaxParameters || decoded.scalarCount > kMaxParameters)
        return failure(MSA_INVALID_ARTIFACT, "kernel %u '%s': %u buffers and %u scalars, expected at most %u each", i,
                       decoded.symbol, decoded.parameterCount, decoded.scalarCount, kMaxParameters);
      if (decoded.scratchBytes > kMaxScratch)
        return failure(MSA_INVALID_ARTIFACT, "kernel %u '%s': %" PRIu64 " bytes of scratch, expected at most %" PRIu64, i,
                       decoded.symbol, decoded.scratchBytes, kMaxScratch);
      for (uint32_t j = 0; j < decoded.parameterCount; ++j) {
        // Fetched as a byte: a value outside the enumeration must not become one.
        uint8_t kind = kernel->parameters()->Data()[j];
        if (kind > uint8_t(ParameterKind::kSpans))
          return failure(MSA_INVALID_ARTIFACT, "kernel %u '%s': parameter %u has kind %u, expected 0 to 3", i, decoded.symbol, j,
                         kind);
        if (!program->parameters.push(ParameterKind(kind)))
          return outOfMemory();
      }
      program->maxScratchBytes = std::max(program->maxScratchBytes, decoded.scratchBytes);
      if (!program->kernels.push(decoded))
        return outOfMemory();
    }
    return {};
  }

  Status gpuVariants() {
    for (uint32_t i = 0; i < length(root->variants()); ++i)
      if (isGpuVariant(root->variants()->Get(i)->name()->c_str()))
        MSA_TRY(decodeGpuVariant(program, i, root->variants()->Get(i)));
    return {};
  }

  Status constants() {
    for (uint32_t i = 0; i < length(root->constants()); ++i) {
      const schema::Constant *constant = root->constants()->Get(i);
      if (!isPrintable(constant->name()))
        return failure(MSA_INVALID_ARTIFACT, "constant %u: its name is not UTF-8 text without control characters", i);
      MSA_TRY(segmentOfKind(constant->segment(), schema::SegmentKind::WEIGHTS, "constant", i));
      const schema::Segment *segment = root->segments()->Get(constant->segment());
      if (constant->offset() % kBufferAlignment)
        return failure(MSA_INVALID_ARTIFACT, "constant %u '%s': offset %" PRIu64 " is not a multiple of %zu", i,
                       text(constant->name()), constant->offset(), kBufferAlignment);
      if (constant->offset() > segment->size() || constant->size() > segment->size() - constant->offset())
        return failure(MSA_INVALID_ARTIFACT,
                       "constant %u '%s': %" PRIu64 " bytes at offset %" PRIu64 " do not fit into segment %u of %" PRIu64 " bytes", i,
                       text(constant->name()), constant->size(), constant->offset(), constant->segment(), segment->size());
      if (!program->constants.push({program->file + segment->offset() + constant->offset(), constant->size()}))
        return outOfMemory();
    }
    return {};
  }

  Status provenance() {
    for (uint32_t i = 0; i < length(root->provenance()); ++i) {
      const schema::KeyValue *pair = root->provenance()->Get(i);
      MSA_TRY(checkName(pair->key(), "provenance key", i));
      if (!isPrintable(pair->value()))
        return failure(MSA_INVALID_ARTIFACT, "provenance '%s': its value is not UTF-8 text without control characters",
                       pair->key()->c_str());
    }
    if (root->fingerprint() && root->fingerprint()->size() != 32)
      return failure(MSA_INVALID_ARTIFACT, "the fingerprint has %u bytes, expected 32", root->fingerprint()->size());
    return {};
  }

  Status entries() {
    uint32_t count = length(root->entries());
    for (uint32_t i = 0; i < count; ++i)
      MSA_TRY(entry(i));
    names.clear();
    for (const Entry &each : program->entries)
      if (!names.push(each.name))
        return outOfMemory();
    return distinct("entries", "the program");
  }

  Status entry(uint32_t index) {
    const schema::Entry *table = root->entries()->Get(index);
    MSA_TRY(checkName(table->name(), "entry", index));
    Entry entry = {};
    entry.name = table->name()->c_str();
    entry.registerCount = table->register_count();
    entry.inputCount = length(table->inputs());
    entry.outputCount = length(table->outputs());
    entry.slotCount = length(table->slots());
    if (entry.registerCount > kMaxRegisters || entry.slotCount > kMaxSlots || entry.inputCount > kMaxPorts ||
        entry.outputCount > kMaxPorts)
      return failure(MSA_INVALID_ARTIFACT,
                     "entry '%s': %u registers, %u slots, %u inputs and %u outputs, expected at most %u, %u, %u and %u", entry.name,
                     entry.registerCount, entry.slotCount, entry.inputCount, entry.outputCount, kMaxRegisters, kMaxSlots,
                     kMaxPorts, kMaxPorts);

    entry.firstInput = uint32_t(program->ports.size());
    names.clear();
    for (uint32_t i = 0; i < entry.inputCount; ++i) {
      const schema::Input *input = table->inputs()->Get(i);
      Port port = {};
      port.spans = input->spans();
      MSA_TRY(this->port(entry, "input", i, input->name(), uint32_t(input->type()), input->dims(), &port));
      if (port.spans && port.rank == 0)
        return failure(MSA_INVALID_ARTIFACT, "entry '%s': input '%s' may be bound as spans but has no rows, its rank is 0",
                       entry.name, port.name);
    }
    MSA_TRY(distinct("inputs", entry.name));

    entry.firstOutput = uint32_t(program->ports.size());
    names.clear();
    for (uint32_t i = 0; i < entry.outputCount; ++i) {
      const schema::Output *output = table->outputs()->Get(i);
      Port port = {};
      MSA_TRY(this->port(entry, "output", i, output->name(), uint32_t(output->type()), output->dims(), &port));
      if (output->alias_input()) {
        uint32_t alias = *output->alias_input();
        if (alias >= entry.inputCount)
          return failure(MSA_INVALID_ARTIFACT, "entry '%s': output '%s' aliases input %u of %u", entry.name, port.name, alias,
                         entry.inputCount);
        const Port &input = program->ports[entry.firstInput + alias];
        if (input.type != port.type || input.rank != port.rank || port.rank == 0)
          return failure(MSA_INVALID_ARTIFACT,
                         "entry '%s': output '%s' (%s of rank %u) aliases input '%s' (%s of rank %u); expected the same type and a "
                         "rank of at least 1",
                         entry.name, port.name, msa_element_name(port.type), port.rank, input.name, msa_element_name(input.type),
                         input.rank);
        program->ports.back().aliasInput = alias;
      }
    }
    MSA_TRY(distinct("outputs", entry.name));

    MSA_TRY(slots(table, &entry));
    MSA_TRY(decodeCommands(program, table, &entry));
    if (!program->entries.push(entry))
      return outOfMemory();
    return {};
  }

  Status port(const Entry &entry, const char *what, uint32_t index, const flatbuffers::String *name, uint32_t type,
              const flatbuffers::Vector<flatbuffers::Offset<schema::Dim>> *dims, Port *port) {
    if (!name || name->size() == 0 || !isPrintable(name))
      return failure(MSA_INVALID_ARTIFACT,
                     "entry '%s': the name of %s %u is empty or not UTF-8 text without control characters", entry.name, what,
                     index);
    port->name = name->c_str();
    port->type = msa_element_type(type);
    port->rank = length(dims);
    port->firstDim = uint32_t(program->dims.size());
    port->aliasInput = kNone;
    port->slot = kNone;
    msa_element_type lastType = root->version_minor() >= 2 ? MSA_F8E4M3FN : MSA_BOOL;
    if (type > uint32_t(lastType))
      return failure(MSA_INVALID_ARTIFACT, "entry '%s': %s '%s' has element type %u, expected 0 to %d, which format version %u.%u has",
                     entry.name, what, port->name, type, lastType, root->version_major(), root->version_minor());
    if (port->rank > MSA_MAX_RANK)
      return failure(MSA_INVALID_ARTIFACT, "entry '%s': %s '%s' has rank %u, expected at most %d", entry.name, what, port->name,
                     port->rank, MSA_MAX_RANK);
    for (uint32_t i = 0; i < port->rank; ++i) {
      const schema::Dim *dim = dims->Get(i);
      if (!isPrintable(dim->name()))
        return failure(MSA_INVALID_ARTIFACT, "entry '%s': the name of dim %u of %s '%s' is not UTF-8 text", entry.name, i, what,
                       port->name);
      Dim decoded = {dim->value(), kNone, text(dim->name())};
      if (dim->register_()) {
        decoded.reg = *dim->register_();
        if (decoded.reg >= entry.registerCount)
          return failure(MSA_INVALID_ARTIFACT, "entry '%s': dim %u of %s '%s' is register %u of %u", entry.name, i, what,
                         port->name, decoded.reg, entry.registerCount);
      } else if (decoded.value < 0) {
        return failure(MSA_INVALID_ARTIFACT, "entry '%s': dim %u of %s '%s' is %" PRId64 ", expected 0 or more", entry.name, i,
                       what, port->name, decoded.value);
      }
      if (!program->dims.push(decoded))
        return outOfMemory();
    }
    if (!program->ports.push(*port) || !names.push(port->name))
      return outOfMemory();
    return {};
  }

  Status slots(const schema::Entry *table, Entry *entry) {
    entry->firstSlot = uint32_t(program->slots.size());
    for (uint32_t i = 0; i < entry->slotCount; ++i) {
      const schema::Slot *slot = table->slots()->Get(i);
      uint32_t kind = uint32_t(slot->kind()), index = slot->index();
      uint32_t limit = 0;
      Port *port = nullptr;
      switch (slot->kind()) {
      case schema::SlotKind::ARENA:
        limit = 1;
        break;
      case schema::SlotKind::INPUT:
        limit = entry->inputCount;
        port = index < limit ? &program->ports[entry->firstInput + index] : nullptr;
        break;
      case schema::SlotKind::OUTPUT:
        limit = entry->outputCount;
        port = index < limit ? &program->ports[entry->firstOutput + index] : nullptr;
        break;
      case schema::SlotKind::CONSTANT:
        limit = uint32_t(program->constants.size());
        break;
      default:
        return failure(MSA_INVALID_ARTIFACT, "entry '%s': slot %u has kind %u, expected 0 to 3", entry->name, i, kind);
      }
      if (index >= limit)
        return failure(MSA_INVALID_ARTIFACT, "entry '%s': slot %u (%s) has index %u, expected less than %u", entry->name, i,
                       schema::EnumNameSlotKind(slot->kind()), index, limit);
      if (port) {
        if (port->slot != kNone)
          return failure(MSA_INVALID_ARTIFACT, "entry '%s': slots %u and %u both name '%s'", entry->name, port->slot, i,
                         port->name);
        port->slot = i;
      }
      if (!program->slots.push({SlotKind(kind), index}))
        return outOfMemory();
    }
    for (uint32_t i = 0; i < entry->outputCount; ++i)
      if (program->ports[entry->firstOutput + i].slot == kNone)
        return failure(MSA_INVALID_ARTIFACT, "entry '%s': no slot names output '%s'", entry->name,
                       program->ports[entry->firstOutput + i].name);
    return {};
  }

  Status distinct(const char *what, const char *where) {
    std::sort(names.begin(), names.end(), [](const char *a, const char *b) { return std::strcmp(a, b) < 0; });
    for (size_t i = 1; i < names.size(); ++i)
      if (std::strcmp(names[i - 1], names[i]) == 0)
        return failure(MSA_INVALID_ARTIFACT, "two %s of %s are named '%s'", what, where, names[i]);
    return {};
  }

  msa_program *program;
  const schema::Program *root;
  Vector<const char *> names; // to be checked for equal ones
};

} // namespace

Status decodeProgram(msa_program *program) { return Decoder(program).decode(); }

} // namespace msa::rt
