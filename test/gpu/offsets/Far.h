// SPDX-License-Identifier: Apache-2.0
//
// Single CTAs of a launch on buffers of more than 2^32 bytes. The buffers are zero but for what a test writes, so an address that lost its upper
// half finds zeros. A CTA of a large grid is run alone by writing its number and the grid's size into the PTX in place of the special registers:
// its address arithmetic is that of the whole launch.

#pragma once

#include "Case.h"

namespace far {

using namespace cases;

/// More than 2^32 bytes, by enough that rounding does not matter.
constexpr int64_t farBytes = int64_t(5) << 30;

class Launcher {
public:
  explicit Launcher(const Instance &instance);

  /// A buffer's memory, zero. Buffers are the kernel's, by number.
  void reserve(const char *parameter, int64_t bytes, bool output = false);
  void put(const char *parameter, int64_t byte, const Tensor &values);
  Tensor get(const char *parameter, Element type, int64_t byte, int64_t count);
  std::vector<std::byte> workspace(uint64_t byte, uint64_t count);
  /// Kernels take the buffer as a span list of so many rows.
  void takeAsSpans(const char *parameter, int64_t rows);
  void setScalar(const char *parameter, int64_t value);
  void setTiles(int64_t tiles) { arguments.tiles = tiles; }
  uint64_t workspaceBytes() const;

  /// Once all of that is said: the launches' number, and CTA `block` of `grid` (along x) of one of them, or all CTAs. Of clusters all CTAs are told to be
  /// `block`, and tell each other apart by their ranks. Throws Error with the report.
  size_t launches() const { return instance.launches.size(); }
  void run(size_t launch, int64_t block, int64_t grid);
  void runAll(size_t launch);

private:
  size_t numberOf(const char *parameter) const;
  const Call &call(size_t launch);
  void run(const Call &one, const std::string &ptx);

  const Instance &instance;
  EmulatorDevice device;
  Arguments arguments;
  std::vector<Call> calls;
};

/// Throws Error unless the tensors agree, element by element, within `slack`.
void expectEqual(const Tensor &got, const std::vector<double> &want, const std::vector<double> &slack, const std::string &what);
/// Throws Error if an element is not 0: where an address without its upper half would have led.
void expectUntouched(const Tensor &got, const std::string &what);

/// Each throws Error for what is wrong.
void checkAttend(const Instance &instance);
void checkCompress(const Instance &instance);
void checkGather(const Instance &instance);
void checkGemm(const Instance &instance);
void checkRoute(const Instance &instance);
/// Keys of one sequence, of which a split launch walks its last part: minutes where tensor cores are emulated.
void checkLongSequence(const Instance &instance);

} // namespace far
