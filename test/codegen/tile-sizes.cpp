// SPDX-License-Identifier: Apache-2.0
//
// Prints what codegen/cpu/TileSizes.h decides, for tests that call kernels without the host side:
//   tile-sizes matmul K N                        rows columns
//   tile-sizes matmul-scratch K ROWS COLUMNS     bytes
//   tile-sizes attention HEADS KV_HEADS          queries of a tile
//   tile-sizes attention-scratch HEADS KV_HEADS D E QUERIES   bytes
//   tile-sizes route-scratch ROW SMALL           bytes; SMALL: 1 with keys of one byte, else 0

#include "codegen/cpu/TileSizes.h"
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

int main(int argc, char **argv) {
  using namespace msa::cpu;
  std::string what = argc > 1 ? argv[1] : "";
  std::vector<int64_t> n;
  for (int i = 2; i < argc; ++i)
    n.push_back(std::atoll(argv[i]));
  if (what == "matmul" && n.size() == 2) {
    MatmulTile tile = chooseMatmulTile(n[0], n[1]);
    std::printf("%" PRId64 " %" PRId64 "\n", tile.rows, tile.columns);
  } else if (what == "matmul-scratch" && n.size() == 3) {
    std::printf("%" PRId64 "\n", matmulScratchBytes(n[0], {n[1], n[2]}));
  } else if (what == "attention" && n.size() == 2) {
    std::printf("%" PRId64 "\n", attentionRows(n[0], n[1]));
  } else if (what == "attention-scratch" && n.size() == 5) {
    std::printf("%" PRId64 "\n", attentionScratchBytes(n[0], n[1], n[2], n[3], n[4]));
  } else if (what == "route-scratch" && n.size() == 2) {
    std::printf("%" PRId64 "\n", msa::kernel::RouteScanScratch(n[0], n[1] != 0).bytes);
  } else {
    std::fprintf(stderr, "tile-sizes: expected matmul K N, matmul-scratch K ROWS COLUMNS, attention HEADS KV_HEADS, "
                         "attention-scratch HEADS KV_HEADS D E QUERIES or route-scratch ROW SMALL\n");
    return 2;
  }
}
