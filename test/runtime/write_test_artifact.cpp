// SPDX-License-Identifier: Apache-2.0
//
// write-test-artifact [--gpu | --gpu-only] FILE: the artifact of testArtifact(), or of gpuTestArtifact() with or without its CPU
// variant, for tests of tools.

#include "gpu_artifact.h"

#include <cstdio>
#include <cstring>

int main(int argc, char **argv) {
  using namespace msa::test;
  bool gpu = argc == 3 && std::strcmp(argv[1], "--gpu") == 0, alone = argc == 3 && std::strcmp(argv[1], "--gpu-only") == 0;
  if (argc != 2 && !gpu && !alone) {
    std::fputs("usage: write-test-artifact [--gpu | --gpu-only] FILE\n", stderr);
    return 2;
  }
  Artifact artifact = gpu || alone ? gpuTestArtifact() : testArtifact();
  if (alone)
    dropCpuVariants(artifact);
  writeFile(argv[argc - 1], artifact.write());
  return 0;
}
