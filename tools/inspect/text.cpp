// SPDX-License-Identifier: Apache-2.0

#include "tools/inspect/inspect.h"

#include "runtime/artifact_file.h"
#include "runtime/schema/msa_artifact_generated.h"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>

namespace msa::tool {

using namespace rt;

namespace {

class TextPrinter {
public:
  explicit TextPrinter(const msa_program *program) : program(program), root(program->root) {}

  std::string print() {
    header();
    segments();
    variants();
    kernels();
    gpuKernels();
    constants();
    provenance();
    for (uint32_t i = 0; i < program->entries.size(); ++i)
      entry(program->entries[i]);
    return std::move(out);
  }

private:
  void line(const char *format, ...) __attribute__((format(printf, 2, 3))) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t length = size_t(std::vsnprintf(nullptr, 0, format, arguments));
    size_t used = out.size();
    out.resize(used + length + 1);
    std::vsnprintf(out.data() + used, length + 1, format, again);
    out.back() = '\n';
    va_end(arguments);
    va_end(again);
  }

  void header() {
    line("artifact of %" PRIu64 " bytes, format version %u.%u, program of %" PRIu64 " bytes at offset %" PRIu64, program->fileSize,
         root->version_major(), root->version_minor(), program->tableSize, kHeaderSize);
    if (root->fingerprint())
      line("fingerprint %s", hexText(root->fingerprint()->data(), root->fingerprint()->size()).c_str());
  }

  void segments() {
    line("%s", "");
    line("segments %u", root->segments() ? root->segments()->size() : 0);
    for (uint32_t i = 0; root->segments() && i < root->segments()->size(); ++i) {
      const schema::Segment *segment = root->segments()->Get(i);
      line("  %3u  %-12s offset %12" PRIu64 "  size %12" PRIu64 "  xxh3 %s  %s", i, segmentKindName(uint32_t(segment->kind())),
           segment->offset(), segment->size(), hexText(segment->digest()->data(), segment->digest()->size()).c_str(),
           segment->name() ? segment->name()->c_str() : "");
    }
  }

  void variants() {
    line("%s", "");
    line("variants %u", root->variants() ? root->variants()->size() : 0);
    for (uint32_t i = 0; root->variants() && i < root->variants()->size(); ++i) {
      const schema::Variant *variant = root->variants()->Get(i);
      line("  %3u  %-20s segment %u  %s", i, variant->name()->c_str(), variant->segment(),
           variantText(variant->name()->c_str()).c_str());
      if (const GpuVariant *gpu = program->gpu.find(i))
        for (uint32_t j = 0; j < gpu->cubinCount; ++j)
          line("         assembled for sm_%u in segment %u", program->gpu.cubins[gpu->firstCubin + j].sm,
               program->gpu.cubins[gpu->firstCubin + j].segment);
    }
  }

  void kernels() {
    line("%s", "");
    line("kernels %zu", program->kernels.size());
    for (uint32_t i = 0; i < program->kernels.size(); ++i) {
      const Kernel &kernel = program->kernels[i];
      std::string parameters;
      for (uint32_t j = 0; j < kernel.parameterCount; ++j)
        parameters += std::string(j ? ", " : "") + parameterKindName(program->parameters[kernel.firstParameter + j]);
      line("  %3u  %s(%s; %u scalars) scratch %" PRIu64, i, kernel.symbol, parameters.c_str(), kernel.scalarCount,
           kernel.scratchBytes);
    }
  }

  void gpuKernels() {
    for (const GpuVariant &variant : program->gpu.variants) {
      line("%s", "");
      line("launches of variant '%s'", root->variants()->Get(variant.variant)->name()->c_str());
      for (uint32_t i = 0; i < program->kernels.size(); ++i) {
        line("  %3u  %s", i, program->kernels[i].symbol);
        const GpuKernel &kernel = program->gpu.kernels[variant.firstKernel + i];
        for (uint32_t j = 0; j < kernel.caseCount; ++j)
          gpuCase(program->gpu.cases[kernel.firstCase + j]);
      }
    }
  }

  std::string term(uint32_t index) const { return termText(program->gpu, program->gpu.terms[index]); }

  void gpuCase(const GpuCase &gpuCase) {
    if (gpuCase.scalar == kNone)
      line("       always");
    else
      line("       s%u < %" PRId64, gpuCase.scalar, gpuCase.below);
    for (uint32_t i = 0; i < gpuCase.launchCount; ++i) {
      const GpuLaunch &launch = program->gpu.launches[gpuCase.firstLaunch + i];
      std::string more;
      if (launch.persistent)
        more += ", at most " + std::to_string(launch.persistent) + " a multiprocessor";
      if (launch.cluster != 1)
        more += ", clusters of " + std::to_string(launch.cluster);
      if (launch.dynamicShared)
        more += ", " + std::to_string(launch.dynamicShared) + " bytes shared";
      if (launch.workspaceTerm != kNone)
        more += ", workspace " + term(launch.workspaceTerm);
      if (launch.workspaceZeroedTerm != kNone)
        more += " (" + term(launch.workspaceZeroedTerm) + " zeroed)";
      line("         %s grid [%s, %s, %s] block %u%s", launch.symbol, term(launch.firstGridTerm).c_str(),
           term(launch.firstGridTerm + 1).c_str(), term(launch.firstGridTerm + 2).c_str(), launch.block, more.c_str());
      for (uint32_t j = 0; j < launch.mapCount; ++j)
        tensorMap(program->gpu.maps[launch.firstMap + j]);
    }
  }

  void tensorMap(const GpuTensorMap &map) {
    std::string dims, strides, box;
    for (uint32_t i = 0; i < map.rank; ++i) {
      dims += (i ? ", " : "") + term(map.firstTerm + i);
      box += (i ? ", " : "") + std::to_string(map.box[i]);
      if (i)
        strides += (i > 1 ? ", " : "") + term(map.firstTerm + map.rank + i - 1);
    }
    line("           tensor map of buffer %u: %s[%s] strides [%s] bytes, box [%s], swizzle %u", map.buffer,
         msa_element_name(map.type), dims.c_str(), strides.c_str(), box.c_str(), map.swizzle);
  }

  void constants() {
    line("%s", "");
    line("constants %zu", program->constants.size());
    for (uint32_t i = 0; root->constants() && i < root->constants()->size(); ++i) {
      const schema::Constant *constant = root->constants()->Get(i);
      line("  %3u  segment %u  offset %12" PRIu64 "  size %12" PRIu64 "  %s", i, constant->segment(), constant->offset(),
           constant->size(), constant->name() ? constant->name()->c_str() : "");
    }
  }

  void provenance() {
    line("%s", "");
    line("provenance %u", root->provenance() ? root->provenance()->size() : 0);
    for (uint32_t i = 0; root->provenance() && i < root->provenance()->size(); ++i)
      line("  %s: %s", root->provenance()->Get(i)->key()->c_str(),
           root->provenance()->Get(i)->value() ? root->provenance()->Get(i)->value()->c_str() : "");
  }

  std::string type(const Port &port) const {
    std::string text = std::string(msa_element_name(port.type)) + "[";
    for (uint32_t i = 0; i < port.rank; ++i) {
      const Dim &dim = program->dims[port.firstDim + i];
      text += i ? ", " : "";
      if (dim.reg == kNone)
        text += std::to_string(dim.value);
      else
        text += (*dim.name ? std::string(dim.name) + "=" : "") + "r" + std::to_string(dim.reg);
    }
    return text + "]";
  }

  std::string slot(uint32_t number) const {
    const Slot &slot = program->slots[current->firstSlot + number];
    switch (slot.kind) {
    case SlotKind::kArena:
      return "s" + std::to_string(number);
    case SlotKind::kInput:
      return "input '" + std::string(program->ports[current->firstInput + slot.index].name) + "'";
    case SlotKind::kOutput:
      return "output '" + std::string(program->ports[current->firstOutput + slot.index].name) + "'";
    case SlotKind::kConstant:
      return "constant " + std::to_string(slot.index);
    }
    return "";
  }

  void entry(const Entry &entry) {
    current = &entry;
    line("%s", "");
    line("entry '%s': %u registers, %u slots, %u commands", entry.name, entry.registerCount, entry.slotCount, entry.commandCount);
    for (uint32_t i = 0; i < entry.inputCount; ++i) {
      const Port &port = program->ports[entry.firstInput + i];
      line("  input   '%s' %s%s", port.name, type(port).c_str(), port.spans ? " spans" : "");
    }
    for (uint32_t i = 0; i < entry.outputCount; ++i) {
      const Port &port = program->ports[entry.firstOutput + i];
      line("  output  '%s' %s%s", port.name, type(port).c_str(),
           port.aliasInput == kNone
               ? ""
               : (" may share input '" + std::string(program->ports[entry.firstInput + port.aliasInput].name) + "'").c_str());
    }
    for (uint32_t i = 0; i < entry.commandCount; ++i)
      line("  %5u  %s", i, command(program->commands[entry.firstCommand + i]).c_str());
  }

  static std::string reg(uint32_t number) { return "r" + std::to_string(number); }

  std::string command(const Command &c) const {
    const uint32_t *operands = program->operands.data();
    switch (c.op) {
    case Op::kConst:
      return reg(c.a) + " = " + std::to_string(c.value);
    case Op::kBinary:
      return reg(c.a) + " = " + binaryKindName(c.kind) + " " + reg(c.b) + ", " + reg(c.c);
    case Op::kSelect:
      return reg(c.a) + " = select " + reg(c.b) + ", " + reg(c.c) + ", " + reg(c.d);
    case Op::kAssert: {
      std::string text = "assert " + reg(c.a) + ", \"" + c.text + "\"";
      for (uint32_t i = 0; i < c.c; ++i)
        text += ", " + reg(operands[c.b + i]);
      return text;
    }
    case Op::kAlloc:
      return "alloc " + slot(c.a) + ", " + reg(c.b) + " bytes";
    case Op::kFree:
      return "free " + slot(c.a);
    case Op::kCopy:
      return "copy " + slot(c.a) + " + " + reg(c.b) + " <- " + slot(c.c) + " + " + reg(c.d) + ", " + reg(c.e) + " bytes";
    case Op::kLoad:
      return reg(c.a) + " = load " + slot(c.b) + " + " + std::to_string(c.value);
    case Op::kStore:
      return "store " + slot(c.a) + " + " + std::to_string(c.value) + " <- " + reg(c.b);
    case Op::kDispatch: {
      const Kernel &kernel = program->kernels[c.a];
      std::string text = "dispatch " + std::string(kernel.symbol) + " tiles " + reg(c.b) + " (";
      for (uint32_t i = 0; i < kernel.parameterCount; ++i)
        text += std::string(i ? ", " : "") + parameterKindName(program->parameters[kernel.firstParameter + i]) + " " +
                slot(operands[c.c + i]);
      text += ";";
      for (uint32_t i = 0; i < kernel.scalarCount; ++i)
        text += std::string(i ? ", " : " ") + reg(operands[c.c + kernel.parameterCount + i]);
      text += ")";
      return *c.text ? text + " at " + c.text : text;
    }
    }
    return "";
  }

  const msa_program *program;
  const schema::Program *root;
  const Entry *current = nullptr;
  std::string out;
};

} // namespace

std::string inspectAsText(const msa_program *program) { return TextPrinter(program).print(); }

} // namespace msa::tool
