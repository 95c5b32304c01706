// SPDX-License-Identifier: Apache-2.0
//
// write-test-artifact FILE: the artifact of testArtifact(), for tests of tools.

#include "artifact_writer.h"

#include <cstdio>

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fputs("usage: write-test-artifact FILE\n", stderr);
    return 2;
  }
  msa::test::writeFile(argv[1], msa::test::testArtifact().write());
  return 0;
}
