// SPDX-License-Identifier: Apache-2.0
//
// Runs cases through NVIDIA's driver API: on a GPU, or on the stand-in driver when that is what libcuda.so.1 is.

#pragma once

#include "Device.h"

#include "runtime/cuda/driver.h"

#include <map>

namespace cases {

/// The driver and device 0. Throws Error if there is none. Not thread-safe: the thread that makes it uses it.
class Driver {
public:
  Driver();
  ~Driver();
  Driver(const Driver &) = delete;

  void check(msa::rt::cuda::CUresult result, const char *call) const;

  msa::rt::cuda::Driver api;
  std::string name;
  int major = 0, minor = 0, multiprocessors = 1;

private:
  msa::rt::cuda::CUdevice handle = 0;
};

/// One module's kernels. Frees its memory when it goes.
class DriverDevice : public Device {
public:
  DriverDevice(const Driver &driver, const std::string &ptx);
  ~DriverDevice() override;

  unsigned multiprocessors() const override { return static_cast<unsigned>(driver.multiprocessors); }
  uint64_t allocate(uint64_t bytes, const std::string &label, bool writable) override;
  void write(uint64_t address, const void *from, uint64_t bytes) override;
  void read(void *to, uint64_t address, uint64_t bytes) override;
  void fill(uint64_t address, int byte, uint64_t bytes) override;
  std::vector<std::byte> encode(const TensorMap &map, std::span<const int64_t> scalars, uint64_t address) override;
  std::string run(std::span<const Call> calls) override;

  /// Seconds of one round of the calls: the median of `rounds`, each timed by events. Throws Error.
  double time(std::span<const Call> calls, int rounds);

private:
  void launch(const Call &call);
  void synchronize();

  const Driver &driver;
  msa::rt::cuda::CUmodule module = nullptr;
  std::map<std::string, msa::rt::cuda::CUfunction> functions;
  std::vector<uint64_t> blocks;
};

} // namespace cases
