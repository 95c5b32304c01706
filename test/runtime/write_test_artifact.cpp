// SPDX-License-Identifier: Apache-2.0
//
// write-test-artifact [--gpu | --gpu-only | --small] FILE: the artifact of testArtifact(), or of gpuTestArtifact() with or without its CPU
// variant, or of testArtifact() with an entry that moves rows of f8e4m3fn; for tests of tools.

#include "gpu_artifact.h"

#include <cstdio>
#include <cstring>

/// `move`, which copies rows of four numbers.
static std::unique_ptr<msa::schema::EntryT> moveEntry() {
  using msa::schema::ElementType;
  msa::test::EntryBuilder e("move");
  uint32_t n = e.reg();
  uint32_t from = e.input("small", ElementType::F8E4M3FN, {e.dynamic(n, "N"), e.fixed(4)}, true);
  uint32_t to = e.output("moved", ElementType::F8E4M3FN, {e.dynamic(n, "N"), e.fixed(4)});
  uint32_t size = e.binary(msa::schema::BinaryKind::MUL, n, e.constantValue(4)), zero = e.constantValue(0);
  e.alloc(to, size);
  e.copy(to, zero, from, zero, size);
  return e.take();
}

int main(int argc, char **argv) {
  using namespace msa::test;
  bool gpu = argc == 3 && std::strcmp(argv[1], "--gpu") == 0, alone = argc == 3 && std::strcmp(argv[1], "--gpu-only") == 0;
  bool small = argc == 3 && std::strcmp(argv[1], "--small") == 0;
  if (argc != 2 && !gpu && !alone && !small) {
    std::fputs("usage: write-test-artifact [--gpu | --gpu-only | --small] FILE\n", stderr);
    return 2;
  }
  Artifact artifact = gpu || alone ? gpuTestArtifact() : testArtifact();
  if (alone)
    dropCpuVariants(artifact);
  if (small) {
    artifact.program.version_minor = 2;
    artifact.program.entries.push_back(moveEntry());
  }
  writeFile(argv[argc - 1], artifact.write());
  return 0;
}
