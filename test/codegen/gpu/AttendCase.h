// SPDX-License-Identifier: Apache-2.0
//
// An attention: inputs, what must come out, and the way there through an instance's PTX and the emulator.

#pragma once

#include "Emulated.h"
#include "codegen/gpu/templates/Attend.h"
#include <string>
#include <vector>

namespace attend {

enum class Type { BF16, F16, F32 };

struct Case {
  Type element = Type::BF16, result = Type::BF16;
  int64_t heads = 4, kvHeads = 1, dim = 128, valueDim = 128;
  int64_t batches = 1, queries = 1, keys = 1;
  bool causal = true;
  bool headsFirst = false;        ///< arrays lie as [B, heads, tokens, dim]
  std::vector<int64_t> documents; ///< of tokens; empty: none
  std::vector<float> query, key, value;

  int64_t group() const { return heads / kvHeads; }
  /// The keys that a query sees.
  std::pair<int64_t, int64_t> visible(int64_t query) const;
  /// Where an element of [batch, token, head, dim] lies.
  int64_t at(int64_t batch, int64_t token, int64_t head, int64_t tokens, int64_t allHeads, int64_t width) const;
  /// Normal numbers. Most queries ask for a key at the edge of what they see, just inside or just outside.
  void fill(uint64_t seed);
};

/// A case of one batch in a short form.
Case shaped(int64_t heads, int64_t kvHeads, int64_t dim, int64_t queries, int64_t keys, bool causal, uint64_t seed);
/// Runs of equal numbers, of lengths that vary round `length`; some numbers come twice.
std::vector<int64_t> documentsOf(int64_t tokens, int64_t length);

struct Verdict {
  double error = 0; ///< of the worst row: length of the difference by length of the row
  std::string wrong; ///< the first thing that is wrong; empty if nothing is
};
/// Compares all rows, or some hundreds of many, with float64: each may differ by 1e-2; a row that sees no key is 0.
Verdict judge(const Case &subject, const std::vector<float> &results);

/// An instance, compiled.
class Program {
public:
  Program(const Case &subject, const msa::gpu::AttendInstance &form, int sm);

  const std::string &ptx() const { return instance.ptx; }
  /// Runs it on poisoned memory. `processors` bounds the grid of persistent kernels. Throws std::runtime_error with the
  /// emulator's reports.
  std::vector<float> run(const Case &subject, const ptxemu::Options &options, unsigned processors) const;

private:
  cases::Instance instance;
};

/// Of a case, as the template sees it: scalars are batches, queries and keys. Types live in `context`.
msa::gpu::AttendProblem problemOf(const Case &subject, mlir::MLIRContext &context);

} // namespace attend
