// SPDX-License-Identifier: Apache-2.0
//
// A scan of routing keys: inputs, what must come out, and the way there through an instance's PTX and the emulator.

#pragma once

#include "Emulated.h"
#include "codegen/gpu/templates/Route.h"
#include <optional>
#include <string>
#include <vector>

namespace route {

enum class Key { BF16, F16, E4M3 };
/// To the nearest that a key can hold.
float rounded(Key key, float value);

/// A document's place in a tile's list.
struct Entry {
  float score;
  int64_t number, first, end;
};
using Lists = std::vector<std::vector<Entry>>; ///< by tile

struct Case {
  Key key = Key::BF16;
  bool shortQuery = false;  ///< the query is stored as keys are
  bool coarseQuery = false; ///< its parts are of 8 bits (Route.h, "Precision")
  int64_t row = 64, rows = 128, keep = 4, tokens = 1;
  msa::Reduce tokenReduce = msa::Reduce::max, chunkReduce = msa::Reduce::max;
  double scale = 1.0;
  std::vector<int64_t> lengths; ///< of documents, in chunks
  std::vector<bool> mask;       ///< which tokens take part; empty: all
  std::vector<float> keys, query, keyScales;

  int64_t chunks() const;
  int64_t tiles() const { return (chunks() + rows - 1) / rows; }
  bool takesPart(int64_t token) const { return mask.empty() || mask[token]; }
  /// The number of the document of each chunk: 3, 5, 7...
  std::vector<int64_t> documents() const;

  /// Normal numbers of the keys' type and of the query's.
  void fillNormal(uint64_t seed);
  /// Small whole numbers: every product and every sum is exact, and many scores are equal.
  void fillWhole(uint64_t seed);
};

/// A chunk's score in float64, and what an instance's may differ from it.
struct Score {
  double value, slack;
};
std::vector<Score> scoreChunks(const Case &subject);
/// A document's, from those of its chunks.
std::vector<Score> scoreDocuments(const Case &subject, const std::vector<Score> &chunks);

/// Every list holds documents that start in its tile, with their rows and a score within what is allowed, in order, and leaves none out that is
/// better beyond doubt. \returns what is wrong.
std::string judge(const Case &subject, const Lists &lists);
/// Lists as they must be where scores are exact.
Lists exactLists(const Case &subject);

/// An instance, compiled.
class Program {
public:
  Program(const Case &subject, const msa::gpu::RouteInstance &form, int sm);

  const std::string &ptx() const { return instance.ptx; }
  /// Runs it on poisoned memory. `processors` bounds the grid of persistent kernels. Throws std::runtime_error with the emulator's reports. `stats` are those of
  /// the scan.
  Lists run(const Case &subject, const ptxemu::Options &options, unsigned processors, ptxemu::Stats *stats = nullptr) const;

private:
  cases::Instance instance;
};

/// Of a case, as the template sees it. Types live in `context`.
msa::gpu::RouteProblem problemOf(const Case &subject, mlir::MLIRContext &context);

} // namespace route
