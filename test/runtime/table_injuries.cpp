// SPDX-License-Identifier: Apache-2.0

#include "injuries.h"

#include <functional>

namespace msa::test {

namespace {

using schema::EntryT;
using schema::ProgramT;

std::vector<uint8_t> with(const std::function<void(Artifact &)> &change) {
  Artifact artifact = testArtifact();
  change(artifact);
  return artifact.write();
}

/// Changes the segment table after it has been filled in.
std::vector<uint8_t> withSegments(const std::function<void(ProgramT &)> &change) {
  Artifact artifact = testArtifact();
  artifact.beforeSerialising = change;
  return artifact.write();
}

std::unique_ptr<schema::VariantT> variant(const char *name, uint32_t segment) {
  auto made = std::make_unique<schema::VariantT>();
  made->name = name;
  made->segment = segment;
  return made;
}

EntryT &entry(Artifact &artifact, const char *name) {
  for (auto &each : artifact.program.entries)
    if (each->name == name)
      return *each;
  return *artifact.program.entries[0];
}

} // namespace

std::vector<Injury> tableInjuries() {
  std::vector<Injury> list;
  auto add = [&](std::string name, std::function<void(Artifact &)> change, std::string message,
                 msa_code code = MSA_INVALID_ARTIFACT) {
    list.push_back({std::move(name), [change] { return with(change); }, code, std::move(message)});
  };
  auto addSegments = [&](std::string name, std::function<void(ProgramT &)> change, std::string message) {
    list.push_back({std::move(name), [change] { return withSegments(change); }, MSA_INVALID_ARTIFACT, std::move(message)});
  };

  add("version_major", [](Artifact &a) { a.program.version_major = 2; }, "format version 2.0, this runtime reads 1.0 to 1.2",
      MSA_UNSUPPORTED);
  add("version_minor", [](Artifact &a) { a.program.version_minor = 3; }, "format version 1.3, this runtime reads 1.0 to 1.2",
      MSA_UNSUPPORTED);
  add("version_zero", [](Artifact &a) { a.program.version_major = 0; }, "format version 0.0", MSA_UNSUPPORTED);
  add("version_huge", [](Artifact &a) { a.program.version_major = UINT32_MAX; }, "format version 4294967295.0", MSA_UNSUPPORTED);

  // Segments.
  addSegments("segment_kind", [](ProgramT &p) { p.segments[0]->kind = schema::SegmentKind(9); }, "segment 0: kind 9");
  addSegments("segment_digest_length", [](ProgramT &p) { p.segments[0]->digest.resize(15); }, "its digest has 15 bytes, expected 16");
  addSegments("segment_gap", [](ProgramT &p) { p.segments[1]->offset += 4096; }, "segment 1 (weights): expected to start at");
  addSegments("segment_overlap", [](ProgramT &p) { p.segments[1]->offset = p.segments[0]->offset; },
              "segment 1 (weights): expected to start at");
  addSegments("segment_in_program", [](ProgramT &p) { p.segments[0]->offset = 64; }, "segment 0 (kernels): expected to start at");
  addSegments("segment_unaligned", [](ProgramT &p) { p.segments[0]->offset += 1; }, "segment 0 (kernels): expected to start at");
  addSegments("segment_order", [](ProgramT &p) { std::swap(p.segments[0], p.segments[1]); }, "expected to start at");
  addSegments("segment_longer", [](ProgramT &p) { p.segments[0]->size += 4096; }, "expected to start at");
  addSegments("segment_past_end", [](ProgramT &p) { p.segments[2]->size += 1; }, "do not fit into the file");
  addSegments("segment_size_wraps", [](ProgramT &p) { p.segments[2]->size = UINT64_MAX; }, "do not fit into the file");
  addSegments("segment_offset_wraps", [](ProgramT &p) { p.segments[2]->offset = UINT64_MAX - 63; }, "expected to start at");
  addSegments("segment_missing", [](ProgramT &p) { p.segments.erase(p.segments.begin() + 1); }, "expected to start at");
  addSegments("segments_absent", [](ProgramT &p) { p.segments.clear(); }, "belong to no segment");
  addSegments("segment_name", [](ProgramT &p) { p.segments[0]->name = "\xff\xfe"; }, "segment 0: its name is not UTF-8");

  // Variants.
  add("variant_segment", [](Artifact &a) { a.program.variants[0]->segment = 3; }, "variant 0: names segment 3 of 3");
  add("variant_segment_kind", [](Artifact &a) { a.program.variants[0]->segment = 1; },
      "variant 0: names segment 1, which is not of kind 'KERNELS'");
  add("variant_name_empty", [](Artifact &a) { a.program.variants[0]->name = ""; }, "variant 0: its name is empty");
  add("variant_twice", [](Artifact &a) { a.program.variants.push_back(variant(a.program.variants[0]->name.c_str(), 0)); },
      "two variants of the program are named");
  add("variants_absent", [](Artifact &a) { a.program.variants.clear(); }, "7 kernels but no variant");
  add("variant_unknown", [](Artifact &a) { a.program.variants[0]->name = "x86-64-v9"; },
      "this processor satisfies none of the artifact's variants 'x86-64-v9'", MSA_UNSUPPORTED);
  add("variant_unknown_feature", [](Artifact &a) { a.program.variants[0]->name = "x86-64+flux"; },
      "satisfies none of the artifact's variants", MSA_UNSUPPORTED);
#if defined(__x86_64__)
  add("variant_of_other_machine", [](Artifact &a) { a.program.variants[0]->name = "aarch64"; },
      "satisfies none of the artifact's variants 'aarch64'", MSA_UNSUPPORTED);
#endif

  // Kernels.
  add("kernel_symbol_missing", [](Artifact &a) { a.program.kernels[0]->symbol = "nowhere"; }, "defines no function 'nowhere'");
  add("kernel_symbol_empty", [](Artifact &a) { a.program.kernels[0]->symbol = ""; }, "kernel 0: its name is empty");
  add("kernel_symbol_escapes", [](Artifact &a) { a.program.kernels[0]->symbol = "a\033[2Jb"; }, "its name 'a?[2Jb' is not");
  add("kernel_parameter_kind", [](Artifact &a) { a.program.kernels[0]->parameters[1] = schema::ParameterKind(4); },
      "parameter 1 has kind 4");
  add("kernel_scratch", [](Artifact &a) { a.program.kernels[0]->scratch_bytes = UINT64_MAX; }, "bytes of scratch, expected at most");
  add("kernel_scalars", [](Artifact &a) { a.program.kernels[0]->scalar_count = UINT32_MAX; }, "4294967295 scalars, expected at most");
  add("kernel_buffers", [](Artifact &a) { a.program.kernels[0]->parameters.resize(2000); }, "2000 buffers and 1 scalars");

  // Constants.
  add("constant_segment", [](Artifact &a) { a.program.constants[0]->segment = 7; }, "constant 0: names segment 7 of 3");
  add("constant_segment_kind", [](Artifact &a) { a.program.constants[0]->segment = 0; }, "which is not of kind 'WEIGHTS'");
  add("constant_unaligned", [](Artifact &a) { a.program.constants[0]->offset = 32; }, "offset 32 is not a multiple of 64");
  add("constant_past_end", [](Artifact &a) { a.program.constants[0]->size = 4096; }, "do not fit into segment 1 of 4096 bytes");
  add("constant_offset_wraps", [](Artifact &a) { a.program.constants[0]->offset = UINT64_MAX - 63; }, "do not fit into segment 1");
  add("constant_size_wraps", [](Artifact &a) { a.program.constants[0]->size = UINT64_MAX - 32; }, "do not fit into segment 1");

  // Provenance and fingerprint.
  add("provenance_key", [](Artifact &a) { a.program.provenance[0]->key = ""; }, "provenance key 0: its name is empty");
  add("provenance_value", [](Artifact &a) { a.program.provenance[0]->value = "\xc0\xaf"; }, "its value is not UTF-8");
  add("fingerprint_length", [](Artifact &a) { a.program.fingerprint.resize(31); }, "the fingerprint has 31 bytes, expected 32");

  // Entries, ports and slots.
  add("entry_name_empty", [](Artifact &a) { a.program.entries[0]->name = ""; }, "entry 0: its name is empty");
  add("entry_twice", [](Artifact &a) { a.program.entries[1]->name = "add"; }, "two entries of the program are named 'add'");
  add("register_count", [](Artifact &a) { a.program.entries[0]->register_count = UINT32_MAX; }, "4294967295 registers");
  add("input_twice", [](Artifact &a) { entry(a, "add").inputs[1]->name = "a"; }, "two inputs of add are named 'a'");
  add("output_name", [](Artifact &a) { entry(a, "add").outputs[0]->name = "a\nb"; }, "the name of output 0 is empty or not UTF-8");
  add("input_type", [](Artifact &a) { entry(a, "add").inputs[0]->type = schema::ElementType(99); }, "has element type 99");
  add("input_type_of_format_1_2", [](Artifact &a) { entry(a, "add").inputs[0]->type = schema::ElementType::F8E4M3FN; },
      "has element type 13, expected 0 to 12, which format version 1.0 has");
  add("input_rank", [](Artifact &a) {
    for (int i = 0; i < 9; ++i)
      entry(a, "add").inputs[0]->dims.push_back(std::make_unique<schema::DimT>());
  }, "has rank 10, expected at most 8");
  add("dim_register", [](Artifact &a) { entry(a, "add").inputs[0]->dims[0]->register_ = 5; }, "is register 5 of 5");
  add("dim_negative", [](Artifact &a) { entry(a, "add_constant").inputs[0]->dims[0]->value = -1; }, "is -1, expected 0 or more");
  add("spans_of_scalar", [](Artifact &a) { entry(a, "sum_rows").inputs[0]->dims.clear(); }, "has no rows, its rank is 0");
  add("alias_outside", [](Artifact &a) { entry(a, "append").outputs[0]->alias_input = 2; }, "aliases input 2 of 2");
  add("alias_type", [](Artifact &a) { entry(a, "append").inputs[0]->type = schema::ElementType::F64; },
      "output 'next' (f32 of rank 2) aliases input 'cache' (f64 of rank 2)");
  add("slot_kind", [](Artifact &a) { entry(a, "add").slots[0] = schema::Slot(schema::SlotKind(4), 0); }, "slot 0 has kind 4");
  add("slot_input", [](Artifact &a) { entry(a, "add").slots[0] = schema::Slot(schema::SlotKind::INPUT, 2); },
      "slot 0 (INPUT) has index 2, expected less than 2");
  add("slot_constant", [](Artifact &a) { entry(a, "add").slots[0] = schema::Slot(schema::SlotKind::CONSTANT, 1); },
      "slot 0 (CONSTANT) has index 1, expected less than 1");
  add("slot_arena_index", [](Artifact &a) { entry(a, "chain").slots[2] = schema::Slot(schema::SlotKind::ARENA, 1); },
      "slot 2 (ARENA) has index 1");
  add("slot_twice", [](Artifact &a) { entry(a, "add").slots[0] = schema::Slot(schema::SlotKind::OUTPUT, 0); },
      "slots 0 and 2 both name 'c'");
  add("output_without_slot", [](Artifact &a) { entry(a, "add").slots[2] = schema::Slot(schema::SlotKind::ARENA, 0); },
      "no slot names output 'c'");
  return list;
}

} // namespace msa::test
