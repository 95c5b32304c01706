// SPDX-License-Identifier: Apache-2.0
//
// A case: an instance, random inputs, and what must come out according to float64. Cases depend on a seed alone.

#pragma once

#include "Device.h"

#include <algorithm>
#include <functional>
#include <random>

namespace cases {

/// How much work a case is. Small cases wrap every ring twice and have ragged ends; Counted ones are whole tiles, for the static report.
enum class Size { Small, Counted };

struct Buffer {
  std::string label;
  std::vector<std::byte> content; ///< Of an input. An output has as many bytes, poisoned before the run.
  bool output = false;
  uint64_t bytes = 0; ///< Where there are more than of `content`, which an input then has over and over.

  uint64_t size() const { return std::max<uint64_t>(bytes, content.size()); }
};

/// What a comparison came to.
struct Verdict {
  bool ok = false;
  double error = 0; ///< The worst, as a share of what is allowed.
  std::string text; ///< The first element that is wrong.
};

struct Case {
  std::vector<Buffer> buffers; ///< The kernel's, in its order.
  std::vector<int64_t> scalars;
  /// Buffers that kernels take as a msa_span_list, and how many rows their one span has.
  std::vector<std::pair<size_t, int64_t>> spans;
  int64_t tiles = 0;
  nlohmann::json shape; ///< For people, and for test/gpu/static/stated.py.
  double flops = 0;     ///< That the result needs.
  double bytes = 0;     ///< Of memory that have to be read or written once.
  /// Judges the buffers' contents after the run, by buffer.
  std::function<Verdict(const std::vector<std::vector<std::byte>> &)> judge;
};

/// Whether makeCase knows the instance's template.
bool knows(const Instance &instance);
/// Throws Error for a template that is not known or a parameter that makes no sense.
Case makeCase(const Instance &instance, Size size, uint64_t seed);
/// The shapes that an instance is timed on, as makeTimed takes them; a small one alone where times shall mean nothing.
std::vector<nlohmann::json> timedShapes(const Instance &instance, bool small = false);
/// A case of that shape without a judge: its inputs repeat, so that they are made quickly.
Case makeTimed(const Instance &instance, const nlohmann::json &shape);

/// 20 kernels, one for each way in which operands of wgmma may lie in shared memory. They are sm_90 code.
std::vector<Instance> descriptorInstances();

/// What launches of an instance are given.
struct Arguments {
  std::vector<uint64_t> data;   ///< The buffers' memory, in the kernel's order.
  std::vector<uint64_t> passed; ///< What kernels get for them: where a buffer is taken as spans, the list's address.
  std::vector<int64_t> scalars;
  int64_t tiles = 0;
  uint64_t workspace = 0;
};
/// The launches of an instance, in their order, in the grids that they say; those of no CTA are left out.
std::vector<Call> makeCalls(Device &device, const Instance &instance, const Arguments &arguments);
/// A msa_span_list of one span of `rows` rows at `data`.
uint64_t makeSpanList(Device &device, uint64_t data, int64_t rows);

/// A case's memory on a device, and its launches.
class Prepared {
public:
  Prepared(Device &device, const Instance &instance, const Case &subject);

  std::span<const Call> calls() const { return launches; }
  /// Fills outputs and workspace with what they must not keep: NaN, and the workspace's zeroed part with zeros.
  void poison();
  /// Makes the grids that many times smaller along each axis, rounded up, clusters whole. Results must not change.
  void shrinkGrids(unsigned divisor);
  /// Of the buffers, after a run: outputs alone have any.
  std::vector<std::vector<std::byte>> contents() const;
  /// Runs and judges. \returns "" or the report of what went wrong; numbers go to `verdict`.
  std::string run(Verdict &verdict);

private:
  Device &device;
  const Case &subject;
  std::vector<uint64_t> addresses;
  uint64_t workspace = 0, workspaceBytes = 0, zeroedBytes = 0;
  std::vector<Call> launches;
};

//===--------------------------------------------------------------------===//
// For the makers of cases
//===--------------------------------------------------------------------===//

enum class Element { F32, F16, BF16, E4M3, I32, I64, U32 };
Element element(const std::string &name); ///< As MLIR and the descriptions write it: f32, f16, bf16, f8E4M3FN, i32, i64.
unsigned elementBytes(Element element);
/// Half the distance between 1 and the next number: what rounding to the type may cost, as a share.
double rounding(Element element);

/// A tensor: the numbers as the type holds them, in float64 and as bytes.
struct Tensor {
  Element type = Element::F32;
  std::vector<double> values;

  std::vector<std::byte> bytes() const;
  static Tensor from(Element type, const std::vector<std::byte> &bytes);
  /// Rounds each number to the type.
  static Tensor of(Element type, std::vector<double> values);
  static Tensor random(Element type, size_t count, std::mt19937_64 &engine, double scale = 1.0);
};

/// Compares with `want`: element i may differ by `slack[i]`.
Verdict compare(const Tensor &got, const std::vector<double> &want, const std::vector<double> &slack);

Case makeDescriptor(const Instance &instance, Size size, uint64_t seed);
/// What a maker is asked for: a shape of its template's own keys.
struct Request {
  nlohmann::json shape;
  uint64_t seed = 1;
  bool judged = true;
};

/// `count` numbers, or if nobody judges what comes of them only as many as a buffer may have over and over: numbers take time to make.
Tensor numbers(Element type, size_t count, std::mt19937_64 &engine, const Request &request);

nlohmann::json attendShape(const Instance &instance, Size size);
nlohmann::json compressShape(const Instance &instance, Size size);
nlohmann::json descriptorShape(const Instance &instance, Size size);
nlohmann::json gatherShape(const Instance &instance, Size size);
nlohmann::json gemmShape(const Instance &instance, Size size);
nlohmann::json routeShape(const Instance &instance, Size size);
std::vector<nlohmann::json> timedAttend(const Instance &instance);
std::vector<nlohmann::json> timedCompress(const Instance &instance);
std::vector<nlohmann::json> timedGather(const Instance &instance);
std::vector<nlohmann::json> timedGemm(const Instance &instance);
std::vector<nlohmann::json> timedRoute(const Instance &instance);
Case makeAttend(const Instance &instance, const Request &request);
Case makeCompress(const Instance &instance, const Request &request);
Case makeDescriptor(const Instance &instance, const Request &request);
Case makeGather(const Instance &instance, const Request &request);
Case makeGemm(const Instance &instance, const Request &request);
Case makeRoute(const Instance &instance, const Request &request);

} // namespace cases
