// SPDX-License-Identifier: Apache-2.0
//
// Where a case runs: under the emulator, or behind the driver API (a GPU, or the stand-in driver).

#pragma once

#include "Instance.h"

#include "ptxemu/ptxemu.h"

#include <cstddef>
#include <memory>

namespace cases {

/// One kernel launch, ready to go.
struct Call {
  std::string symbol;
  std::array<uint32_t, 3> grid{1, 1, 1};
  uint32_t block = 32, cluster = 1, dynamicShared = 0;
  std::vector<std::vector<std::byte>> arguments;
};

class Device {
public:
  virtual ~Device() = default;

  virtual unsigned multiprocessors() const = 0;
  /// Most CTAs along x of a launch, so that each has several tiles; 0: as many as the launch says. Results are the same.
  virtual unsigned gridLimit() const { return 0; }
  /// Memory whose content is undefined. `writable` is a promise that kernels keep. Freed with the device.
  virtual uint64_t allocate(uint64_t bytes, const std::string &label, bool writable) = 0;
  virtual void write(uint64_t address, const void *from, uint64_t bytes) = 0;
  virtual void read(void *to, uint64_t address, uint64_t bytes) = 0;
  virtual void fill(uint64_t address, int byte, uint64_t bytes) = 0;
  /// 128 bytes for a map's parameter.
  virtual std::vector<std::byte> encode(const TensorMap &map, std::span<const int64_t> scalars, uint64_t address) = 0;
  /// Runs calls one after the other. \returns "" or what went wrong.
  virtual std::string run(std::span<const Call> calls) = 0;
};

/// Runs PTX under ptxemu and keeps what it reported and counted.
class EmulatorDevice : public Device {
public:
  /// `multiprocessors` bounds the grid of persistent kernels.
  EmulatorDevice(std::shared_ptr<const ptxemu::Module> module, const ptxemu::Options &options, unsigned multiprocessors);

  unsigned multiprocessors() const override { return processors; }
  unsigned gridLimit() const override { return limit; }
  void setGridLimit(unsigned ctas) { limit = ctas; }
  uint64_t allocate(uint64_t bytes, const std::string &label, bool writable) override;
  void write(uint64_t address, const void *from, uint64_t bytes) override { memory.write(address, from, bytes); }
  void read(void *to, uint64_t address, uint64_t bytes) override { memory.read(to, address, bytes); }
  void fill(uint64_t address, int byte, uint64_t bytes) override { memory.fill(address, byte, bytes); }
  std::vector<std::byte> encode(const TensorMap &map, std::span<const int64_t> scalars, uint64_t address) override;
  std::string run(std::span<const Call> calls) override;

  /// Memory that is zero and costs nothing where nobody writes: more of it than the machine has.
  uint64_t reserve(uint64_t bytes, const std::string &label, bool writable);
  /// Runs another text on the same memory from here on.
  void setModule(std::shared_ptr<const ptxemu::Module> other) { module = std::move(other); }

  /// Of every call of every run so far.
  const std::vector<ptxemu::Result> &results() const { return outcomes; }

private:
  std::shared_ptr<const ptxemu::Module> module;
  std::vector<std::shared_ptr<void>> reserved; ///< Outlives the memory that it is registered with.
  ptxemu::Memory memory;
  ptxemu::Options options;
  unsigned processors, limit = 0;
  std::vector<ptxemu::Result> outcomes;
};

/// The dims and strides of a map for given scalars, as the driver's encoder takes them.
struct MapSizes {
  std::vector<uint64_t> dims, strides;
};
MapSizes evaluate(const TensorMap &map, std::span<const int64_t> scalars);

} // namespace cases
