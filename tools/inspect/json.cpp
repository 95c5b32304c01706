// SPDX-License-Identifier: Apache-2.0

#include "tools/inspect/inspect.h"

#include "runtime/artifact_file.h"
#include "runtime/cpu_variant.h"
#include "runtime/schema/msa_artifact_generated.h"

#include <nlohmann/json.hpp>

namespace msa::tool {

using namespace rt;
using Json = nlohmann::ordered_json;

namespace {

const char *slotKindName(SlotKind kind) {
  static const char *const names[] = {"arena", "input", "output", "constant"};
  return names[unsigned(kind)];
}

Json portJson(const msa_program *program, const Port &port) {
  Json dims = Json::array();
  for (uint32_t i = 0; i < port.rank; ++i) {
    const Dim &dim = program->dims[port.firstDim + i];
    Json json = Json::object();
    if (dim.reg == kNone)
      json["value"] = dim.value;
    else
      json["register"] = dim.reg;
    if (*dim.name)
      json["name"] = dim.name;
    dims.push_back(std::move(json));
  }
  return {{"name", port.name}, {"type", msa_element_name(port.type)}, {"dims", std::move(dims)}};
}

Json commandJson(const msa_program *program, const Command &c) {
  const uint32_t *operands = program->operands.data();
  Json json = {{"op", opName(c.op)}};
  switch (c.op) {
  case Op::kConst:
    json["register"] = c.a;
    json["value"] = c.value;
    break;
  case Op::kBinary:
    json["register"] = c.a;
    json["kind"] = binaryKindName(c.kind);
    json["lhs"] = c.b;
    json["rhs"] = c.c;
    break;
  case Op::kSelect:
    json["register"] = c.a;
    json["condition"] = c.b;
    json["if_true"] = c.c;
    json["if_false"] = c.d;
    break;
  case Op::kAssert:
    json["condition"] = c.a;
    json["message"] = c.text;
    json["values"] = std::vector<uint32_t>(operands + c.b, operands + c.b + c.c);
    break;
  case Op::kAlloc:
    json["slot"] = c.a;
    json["size"] = c.b;
    break;
  case Op::kFree:
    json["slot"] = c.a;
    break;
  case Op::kCopy:
    json["target"] = c.a;
    json["target_offset"] = c.b;
    json["source"] = c.c;
    json["source_offset"] = c.d;
    json["size"] = c.e;
    break;
  case Op::kLoad:
    json["register"] = c.a;
    json["slot"] = c.b;
    json["offset"] = c.value;
    break;
  case Op::kStore:
    json["slot"] = c.a;
    json["offset"] = c.value;
    json["register"] = c.b;
    break;
  case Op::kDispatch: {
    const Kernel &kernel = program->kernels[c.a];
    const uint32_t *buffers = operands + c.c, *scalars = buffers + kernel.parameterCount;
    json["kernel"] = c.a;
    json["symbol"] = kernel.symbol;
    json["tiles"] = c.b;
    json["buffers"] = std::vector<uint32_t>(buffers, scalars);
    json["scalars"] = std::vector<uint32_t>(scalars, scalars + kernel.scalarCount);
    json["location"] = c.text;
    break;
  }
  }
  return json;
}

Json tensorMapJson(const GpuTables &gpu, const GpuTensorMap &map) {
  Json dims = Json::array(), strides = Json::array();
  for (uint32_t i = 0; i < map.rank; ++i)
    dims.push_back(termText(gpu, gpu.terms[map.firstTerm + i]));
  for (uint32_t i = 1; i < map.rank; ++i)
    strides.push_back(termText(gpu, gpu.terms[map.firstTerm + map.rank + i - 1]));
  return {{"buffer", map.buffer},         {"type", msa_element_name(map.type)},
          {"dims", std::move(dims)},      {"strides", std::move(strides)},
          {"box", std::vector<uint32_t>(map.box, map.box + map.rank)}, {"swizzle", map.swizzle}};
}

Json launchJson(const GpuTables &gpu, const GpuLaunch &launch) {
  Json json = {{"symbol", launch.symbol}};
  for (uint32_t i = 0; i < kGridTerms; ++i)
    json["grid"].push_back(termText(gpu, gpu.terms[launch.firstGridTerm + i]));
  json["persistent"] = launch.persistent;
  json["block"] = launch.block;
  json["cluster"] = launch.cluster;
  json["dynamic_shared"] = launch.dynamicShared;
  if (launch.workspaceTerm != kNone)
    json["workspace"] = termText(gpu, gpu.terms[launch.workspaceTerm]);
  if (launch.workspaceZeroedTerm != kNone)
    json["workspace_zeroed"] = termText(gpu, gpu.terms[launch.workspaceZeroedTerm]);
  json["tensor_maps"] = Json::array();
  for (uint32_t i = 0; i < launch.mapCount; ++i)
    json["tensor_maps"].push_back(tensorMapJson(gpu, gpu.maps[launch.firstMap + i]));
  return json;
}

/// The cubins and launches of a GPU's variant.
void addGpuVariant(const msa_program *program, const GpuVariant &variant, Json &json) {
  const GpuTables &gpu = program->gpu;
  json["cubins"] = Json::array();
  for (uint32_t i = 0; i < variant.cubinCount; ++i)
    json["cubins"].push_back({{"sm", gpu.cubins[variant.firstCubin + i].sm}, {"segment", gpu.cubins[variant.firstCubin + i].segment}});
  json["gpu_kernels"] = Json::array();
  for (uint32_t k = 0; k < program->kernels.size(); ++k) {
    const GpuKernel &kernel = gpu.kernels[variant.firstKernel + k];
    Json cases = Json::array();
    for (uint32_t c = 0; c < kernel.caseCount; ++c) {
      const GpuCase &gpuCase = gpu.cases[kernel.firstCase + c];
      Json made = Json::object();
      if (gpuCase.scalar != kNone) {
        made["scalar"] = gpuCase.scalar;
        made["below"] = gpuCase.below;
      }
      made["launches"] = Json::array();
      for (uint32_t l = 0; l < gpuCase.launchCount; ++l)
        made["launches"].push_back(launchJson(gpu, gpu.launches[gpuCase.firstLaunch + l]));
      cases.push_back(std::move(made));
    }
    json["gpu_kernels"].push_back({{"kernel", program->kernels[k].symbol}, {"cases", std::move(cases)}});
  }
}

Json entryJson(const msa_program *program, const Entry &entry) {
  Json json = {{"name", entry.name}, {"registers", entry.registerCount}};
  json["inputs"] = Json::array();
  for (uint32_t i = 0; i < entry.inputCount; ++i) {
    const Port &port = program->ports[entry.firstInput + i];
    Json input = portJson(program, port);
    input["spans"] = port.spans;
    json["inputs"].push_back(std::move(input));
  }
  json["outputs"] = Json::array();
  for (uint32_t i = 0; i < entry.outputCount; ++i) {
    const Port &port = program->ports[entry.firstOutput + i];
    Json output = portJson(program, port);
    if (port.aliasInput != kNone)
      output["alias_input"] = port.aliasInput;
    json["outputs"].push_back(std::move(output));
  }
  json["slots"] = Json::array();
  for (uint32_t i = 0; i < entry.slotCount; ++i) {
    const Slot &slot = program->slots[entry.firstSlot + i];
    json["slots"].push_back({{"kind", slotKindName(slot.kind)}, {"index", slot.index}});
  }
  json["commands"] = Json::array();
  for (uint32_t i = 0; i < entry.commandCount; ++i)
    json["commands"].push_back(commandJson(program, program->commands[entry.firstCommand + i]));
  return json;
}

} // namespace

std::string inspectAsJson(const msa_program *program) {
  const schema::Program *root = program->root;
  Json json = {{"file_size", program->fileSize},
               {"program_offset", kHeaderSize},
               {"program_size", program->tableSize},
               {"version", {root->version_major(), root->version_minor()}}};
  if (root->fingerprint())
    json["fingerprint"] = hexText(root->fingerprint()->data(), root->fingerprint()->size());
  json["segments"] = Json::array();
  for (uint32_t i = 0; root->segments() && i < root->segments()->size(); ++i) {
    const schema::Segment *segment = root->segments()->Get(i);
    json["segments"].push_back({{"kind", segmentKindName(uint32_t(segment->kind()))},
                                {"name", segment->name() ? segment->name()->c_str() : ""},
                                {"offset", segment->offset()},
                                {"size", segment->size()},
                                {"digest", hexText(segment->digest()->data(), segment->digest()->size())}});
  }
  json["variants"] = Json::array();
  for (uint32_t i = 0; root->variants() && i < root->variants()->size(); ++i) {
    const schema::Variant *variant = root->variants()->Get(i);
    Json made = {{"name", variant->name()->c_str()}, {"segment", variant->segment()}};
    if (const GpuVariant *gpu = program->gpu.find(i))
      addGpuVariant(program, *gpu, made);
    else
      made["supported"] = variantSupport(variant->name()->c_str()) == VariantSupport::kSupported;
    json["variants"].push_back(std::move(made));
  }
  json["kernels"] = Json::array();
  for (const Kernel &kernel : program->kernels) {
    Json parameters = Json::array();
    for (uint32_t j = 0; j < kernel.parameterCount; ++j)
      parameters.push_back(parameterKindName(program->parameters[kernel.firstParameter + j]));
    json["kernels"].push_back({{"symbol", kernel.symbol},
                               {"parameters", std::move(parameters)},
                               {"scalars", kernel.scalarCount},
                               {"scratch_bytes", kernel.scratchBytes}});
  }
  json["constants"] = Json::array();
  for (uint32_t i = 0; root->constants() && i < root->constants()->size(); ++i) {
    const schema::Constant *constant = root->constants()->Get(i);
    json["constants"].push_back({{"segment", constant->segment()},
                                 {"offset", constant->offset()},
                                 {"size", constant->size()},
                                 {"name", constant->name() ? constant->name()->c_str() : ""}});
  }
  json["provenance"] = Json::array();
  for (uint32_t i = 0; root->provenance() && i < root->provenance()->size(); ++i) {
    const schema::KeyValue *pair = root->provenance()->Get(i);
    json["provenance"].push_back({{"key", pair->key()->c_str()}, {"value", pair->value() ? pair->value()->c_str() : ""}});
  }
  json["entries"] = Json::array();
  for (const Entry &entry : program->entries)
    json["entries"].push_back(entryJson(program, entry));
  return json.dump(1) + "\n";
}

} // namespace msa::tool
