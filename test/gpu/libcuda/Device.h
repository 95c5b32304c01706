// SPDX-License-Identifier: Apache-2.0
//
// The stand-in's one process-wide state: what the device is, its memory, whether it still works. A driver has such a state, so this has
// one too; everything in it is guarded by one lock, which every function of the interface takes.

#pragma once

#include "ptxemu/ptxemu.h"
#include "runtime/cuda/driver_api.h"

#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace standin {

using namespace msa::rt::cuda;

/// From the environment, once, when the driver is started. README.md lists the variables.
struct Configuration {
  int deviceCount = 1;
  int major = 9, minor = 0;
  int multiprocessors = 132;
  uint64_t memoryBytes = uint64_t(80) << 30;
  uint64_t gridDivisor = 1;
  bool trace = false;
  bool warningsAreErrors = false;
  bool keepFreed = false;
  ptxemu::Options options;

  static Configuration fromEnvironment();
};

struct Stream;

class Device {
public:
  Configuration configuration;
  ptxemu::Memory memory;
  std::mt19937_64 random;

  /// Device memory that is live, and its size; and what freed memory held, where that is kept.
  std::map<CUdeviceptr, size_t> allocations;
  std::map<void *, size_t> pinned;
  std::vector<std::vector<uint8_t>> freed;
  uint64_t allocatedBytes = 0, allocationCount = 0, launchCount = 0, graphLaunchCount = 0;

  std::vector<std::unique_ptr<Stream>> streams; // the first is the default stream
  int contexts = 0;                             // how often the primary context is retained
  /// Set by a kernel that failed: the answer to everything from then on.
  CUresult sticky = CUDA_SUCCESS;

  Device();
  ~Device();

  /// Whether `host` lies in pinned memory.
  bool isPinned(const void *host, size_t bytes) const;
  /// Where device (or mapped host) memory is; throws ptxemu::Error.
  uint8_t *at(CUdeviceptr address, size_t bytes) const;
  bool contains(const void *pattern, size_t bytes) const;
};

/// The state and its lock. `started` is false until cuInit.
struct Driver {
  std::recursive_mutex mutex;
  std::unique_ptr<Device> device;
};
Driver &driver();

/// Contexts that the calling thread has pushed; the stand-in has one context, so only their number matters.
int &currentContexts();
/// Streams that the calling thread records; calls that a recording forbids are refused while it is not 0.
int &recordings();

/// Prints to stderr with the stand-in's name before every line.
void complain(const std::string &text);

/// Runs the body of a function of the interface: takes the lock, refuses what comes before cuInit or without a context or after a
/// failed kernel, and turns exceptions into CUDA_ERROR_INVALID_VALUE with their text on stderr.
template <typename Body> CUresult call(const char *name, bool needsContext, Body body) {
  std::lock_guard lock(driver().mutex);
  if (!driver().device) {
    complain(std::string(name) + ": called before cuInit");
    return CUDA_ERROR_NOT_INITIALIZED;
  }
  if (needsContext && currentContexts() == 0) {
    complain(std::string(name) + ": the calling thread has no current context");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (needsContext && driver().device->sticky != CUDA_SUCCESS)
    return driver().device->sticky;
  try {
    return body(*driver().device);
  } catch (const std::exception &error) {
    complain(std::string(name) + ": " + error.what());
    return CUDA_ERROR_INVALID_VALUE;
  }
}

/// The same for calls that are not allowed while the thread records a stream: memory and modules.
template <typename Body> CUresult callOutsideRecording(const char *name, Body body) {
  if (recordings() != 0) {
    complain(std::string(name) + ": called while the thread records a stream");
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return call(name, true, body);
}

/// The same for calls that give something back: a device that has failed lets go of it all the same, and answers with its error.
template <typename Body> CUresult callToRelease(const char *name, Body body) {
  if (recordings() != 0 || currentContexts() == 0)
    return callOutsideRecording(name, body);
  return call(name, false, [&](Device &device) -> CUresult {
    CUresult result = body(device);
    return device.sticky != CUDA_SUCCESS ? device.sticky : result;
  });
}

} // namespace standin

#define STANDIN_EXPORT extern "C" __attribute__((visibility("default")))
