// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "Program.h"
#include <deque>
#include <map>
#include <memory>
#include <mutex>

namespace ptxemu {

struct MemoryImpl {
  struct Range {
    uint64_t begin = 0, end = 0;
    uint8_t *host = nullptr;
    std::string label;
    Access access = Access::ReadWrite;
    bool live = true, isHost = false;
    std::shared_ptr<void> storage;
  };

  mutable std::mutex mutex;
  std::mutex loadMutex; ///< Taken first: one module is loaded once.
  std::map<uint64_t, std::shared_ptr<Range>> ranges; ///< By beginning; freed ones included.
  std::deque<uint64_t> freed;                        ///< Oldest first; only so many are remembered.
  uint64_t next = uint64_t(1) << 48, allocated = 0, unnamed = 0;
  std::map<std::shared_ptr<const int>, std::vector<uint64_t>> modules; ///< Addresses of their variables.

  uint64_t allocate(uint64_t bytes, std::string label, Access access);
  void free(uint64_t address);
  /// The range that holds the address, freed or not; call with the mutex held.
  std::shared_ptr<Range> lookUp(uint64_t address) const;
  /// Loads a module if need be and returns the addresses of its variables.
  std::vector<uint64_t> load(const ModuleImpl &module);
};

} // namespace ptxemu
