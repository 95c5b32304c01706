// SPDX-License-Identifier: Apache-2.0

#include "gpu_artifact.h"
#include "injuries.h"

namespace msa::test {

std::vector<Injury> gpuInjuries() {
  std::vector<Injury> list;
  auto add = [&](std::string name, std::function<void(Artifact &)> change, std::string message) {
    list.push_back({"gpu_" + std::move(name),
                    [change] {
                      Artifact artifact = gpuTestArtifact();
                      change(artifact);
                      return artifact.write();
                    },
                    MSA_INVALID_ARTIFACT, std::move(message)});
  };
  auto variant = [](Artifact &a) -> schema::VariantT & { return *a.program.variants[0]; };
  auto firstCase = [=](Artifact &a) -> schema::LaunchCaseT & { return *variant(a).gpu_kernels[0]->cases[0]; };
  auto firstLaunch = [=](Artifact &a) -> schema::LaunchT & { return *firstCase(a).launches[0]; };
  auto withMap = [=](std::function<void(schema::TensorMapT &)> change) {
    return [=](Artifact &a) {
      auto map = std::make_unique<schema::TensorMapT>();
      map->buffer = 0;
      map->type = schema::ElementType::F32;
      map->dims.push_back(term(8));
      map->dims.push_back(term(1, {0}));
      map->strides.push_back(term(32));
      map->box = {8, 4};
      map->swizzle = 32;
      change(*map);
      firstLaunch(a).tensor_maps.push_back(std::move(map));
    };
  };

  // Segments and variants.
  add("in_format_1_0", [](Artifact &a) { a.program.version_minor = 0; }, "segment 3: kind 5 is not one of 0 to 4, which format version 1.0 has");
  add("segment_kind", [=](Artifact &a) { variant(a).segment = 0; }, "variant 0: names segment 0, which is not of kind 'PTX'");
  add("name_of_a_cpu", [=](Artifact &a) {
    variant(a).name = "x86-64-v3";
    variant(a).segment = 0;
  }, "variant 0 'x86-64-v3': it has GPU kernels or cubins but no GPU's name");
  add("ptx_without_nul", [](Artifact &a) { a.blobs.back().bytes.pop_back(); }, "the PTX in segment 3 does not end with a NUL byte");
  add("ptx_empty", [](Artifact &a) { a.blobs.back().bytes.clear(); }, "the PTX in segment 3 does not end with a NUL byte");
  add("ptx_with_nul", [](Artifact &a) { a.blobs.back().bytes[100] = 0; }, "the PTX in segment 3 has a NUL byte before its end");
  add("kernels_missing", [=](Artifact &a) { variant(a).gpu_kernels.pop_back(); }, "it has 6 GPU kernels, the program has 7 kernels");
  add("kernels_absent", [=](Artifact &a) { variant(a).gpu_kernels.clear(); }, "it has 0 GPU kernels, the program has 7 kernels");
  auto cubin = [](uint32_t sm, uint32_t segment) {
    auto made = std::make_unique<schema::CubinT>();
    made->sm = sm;
    made->segment = segment;
    return made;
  };
  add("cubin_segment", [=](Artifact &a) { variant(a).cubins.push_back(cubin(90, 9)); }, "cubin 0 names segment 9 of 4");
  add("cubin_segment_kind", [=](Artifact &a) { variant(a).cubins.push_back(cubin(90, 3)); }, "cubin 0 names segment 3 of 4, which is not of kind 'CUBIN'");
  add("cubin_twice", [=](Artifact &a) {
    a.blobs.push_back({schema::SegmentKind::CUBIN, {1, 2, 3}, ""});
    variant(a).cubins.push_back(cubin(90, 4));
    variant(a).cubins.push_back(cubin(90, 4));
  }, "cubins 0 and 1 are both for sm_90");

  // Cases.
  add("cases_absent", [=](Artifact &a) { variant(a).gpu_kernels[0]->cases.clear(); }, "kernel 0 'test_add', case 0, launch 0: the kernel has 0 cases");
  add("case_last_conditional", [=](Artifact &a) { firstCase(a).scalar = 0; }, "the last case depends on scalar 0, expected one that is always taken");
  add("case_always_before_last", [=](Artifact &a) {
    variant(a).gpu_kernels[0]->cases.push_back(launchCase(launch("test_add", term(1), 32)));
  }, "a case that is always taken stands before the last");
  add("case_scalar", [=](Artifact &a) {
    firstCase(a).scalar = 1;
    variant(a).gpu_kernels[0]->cases.push_back(launchCase(launch("test_add", term(1), 32)));
  }, "the case depends on scalar 1 of 1");
  add("launches_absent", [=](Artifact &a) { firstCase(a).launches.clear(); }, "the case has 0 launches, expected 1 to 16");

  // Launches.
  add("launch_symbol", [=](Artifact &a) { firstLaunch(a).symbol = ""; }, "its symbol is empty");
  add("launch_symbol_escapes", [=](Artifact &a) { firstLaunch(a).symbol = "a\033b"; }, "its symbol is empty or not UTF-8");
  add("launch_grid", [=](Artifact &a) { firstLaunch(a).grid.pop_back(); }, "its grid has 2 terms, expected 3");
  add("launch_block", [=](Artifact &a) { firstLaunch(a).block = 0; }, "a block has 0 threads, expected a multiple of 32, 32 to 1024");
  add("launch_block_odd", [=](Artifact &a) { firstLaunch(a).block = 100; }, "a block has 100 threads");
  add("launch_block_large", [=](Artifact &a) { firstLaunch(a).block = 2048; }, "a block has 2048 threads");
  add("launch_cluster", [=](Artifact &a) { firstLaunch(a).cluster = 16; }, "a cluster has 16 blocks, expected 1 to 8");
  add("launch_cluster_none", [=](Artifact &a) { firstLaunch(a).cluster = 0; }, "a cluster has 0 blocks");
  add("launch_shared", [=](Artifact &a) { firstLaunch(a).dynamic_shared = 232449; }, "it needs 232449 bytes of dynamic shared memory, expected at most 232448");
  add("launch_persistent", [=](Artifact &a) { firstLaunch(a).persistent = 65; }, "it is persistent with 65 blocks a multiprocessor");
  add("launch_zeroed_without_workspace", [=](Artifact &a) { firstLaunch(a).workspace_zeroed = term(4); }, "it wants zeroed workspace but no workspace");

  // Terms.
  add("term_factor", [=](Artifact &a) { firstLaunch(a).grid[0]->factor = -1; }, "term 0 of the grid has factor -1, divisor 64 and multiplier 1");
  add("term_divisor", [=](Artifact &a) { firstLaunch(a).grid[0]->divisor = 0; }, "term 0 of the grid has factor 1, divisor 0");
  add("term_multiplier", [=](Artifact &a) { firstLaunch(a).grid[1]->multiplier = -5; }, "term 1 of the grid has factor 1, divisor 1 and multiplier -5");
  add("term_scalar", [=](Artifact &a) { firstLaunch(a).grid[2]->scalars = {1}; }, "term 2 of the grid uses scalar 1 of 1");
  add("term_scalars", [=](Artifact &a) { firstLaunch(a).grid[0]->scalars.assign(17, 0); }, "term 0 of the grid multiplies 17 scalars, expected at most 16");
  add("term_workspace", [=](Artifact &a) { firstLaunch(a).workspace = term(-4); }, "term 0 of workspace has factor -4");

  // Tensor maps.
  add("map_type", withMap([](auto &m) { m.type = schema::ElementType::I64; }), "tensor map 0 has element type 7, expected f32, f16, bf16 or u8");
  add("map_type_unknown", withMap([](auto &m) { m.type = schema::ElementType(200); }), "tensor map 0 has element type 200");
  add("map_buffer", withMap([](auto &m) { m.buffer = 3; }), "tensor map 0 is over buffer 3 of 3");
  add("map_rank", withMap([](auto &m) { m.dims.clear(); }), "tensor map 0 has 0 dims, expected 1 to 5");
  add("map_rank_large", withMap([](auto &m) {
    for (int i = 0; i < 4; ++i)
      m.dims.push_back(term(1));
  }), "tensor map 0 has 6 dims, expected 1 to 5");
  add("map_strides", withMap([](auto &m) { m.strides.clear(); }), "2 dims, 0 strides and a box of 2; expected 1 strides and a box of 2");
  add("map_box", withMap([](auto &m) { m.box.push_back(1); }), "2 dims, 1 strides and a box of 3");
  add("map_box_zero", withMap([](auto &m) { m.box[1] = 0; }), "has a box of 0 elements in dim 1, expected 1 to 256");
  add("map_box_large", withMap([](auto &m) { m.box[1] = 257; }), "has a box of 257 elements in dim 1");
  add("map_box_row", withMap([](auto &m) { m.box[0] = 3; }), "has a box of 12 bytes in dim 0, expected a multiple of 16");
  add("map_box_swizzle", withMap([](auto &m) { m.box[0] = 16; }), "has a box of 64 bytes in dim 0, expected a multiple of 16, at most the swizzle");
  add("map_swizzle", withMap([](auto &m) { m.swizzle = 16; }), "has a swizzle of 16 bytes, expected 0, 32, 64 or 128");
  add("map_stride", withMap([](auto &m) { m.strides[0]->factor = 24; }), "the stride of dim 1 is 24 bytes, expected a multiple of 16");
  add("map_stride_zero", withMap([](auto &m) { m.strides[0]->factor = 0; }), "the stride of dim 1 is 0 bytes");
  add("maps_many", [=](Artifact &a) {
    for (int i = 0; i < 17; ++i)
      withMap([](auto &) {})(a);
  }, "it has 17 tensor maps, expected at most 16");
  return list;
}

} // namespace msa::test
