// SPDX-License-Identifier: Apache-2.0

#include "Device.h"

#include "Stream.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace standin {

namespace {

/// The whole number in an environment variable, or `fallback`. A driver that guessed would make tests pass for the wrong reason.
uint64_t numberFrom(const char *name, uint64_t fallback) {
  const char *text = std::getenv(name);
  if (!text || !*text)
    return fallback;
  char *end = nullptr;
  uint64_t value = std::strtoull(text, &end, 10);
  if (*end) {
    complain(std::string(name) + ": expected a whole number, found '" + text + "'");
    std::exit(2);
  }
  return value;
}

} // namespace

Configuration Configuration::fromEnvironment() {
  Configuration made;
  uint64_t sm = numberFrom("MSA_PTXEMU_SM", 90);
  made.major = int(sm / 10);
  made.minor = int(sm % 10);
  made.deviceCount = int(numberFrom("MSA_PTXEMU_DEVICES", 1));
  made.multiprocessors = int(numberFrom("MSA_PTXEMU_MULTIPROCESSORS", 132));
  made.memoryBytes = numberFrom("MSA_PTXEMU_MEMORY", made.memoryBytes);
  made.gridDivisor = std::max<uint64_t>(numberFrom("MSA_PTXEMU_GRID", 1), 1);
  made.trace = numberFrom("MSA_PTXEMU_TRACE", 0) != 0;
  made.keepFreed = numberFrom("MSA_PTXEMU_KEEP_FREED", 0) != 0;
  made.warningsAreErrors = made.options.strictFence = numberFrom("MSA_PTXEMU_STRICT", 0) != 0;
  made.options.races = numberFrom("MSA_PTXEMU_RACES", 1) != 0;
  made.options.traffic = false;
  made.options.seed = numberFrom("MSA_PTXEMU_SEED", 1);
  made.options.instructionLimit = numberFrom("MSA_PTXEMU_INSTRUCTIONS", made.options.instructionLimit);
  const char *mode = std::getenv("MSA_PTXEMU_ASYNC");
  std::string asynchrony = mode ? mode : "latest";
  if (asynchrony == "latest") {
    made.options.asynchrony = ptxemu::Asynchrony::Latest;
  } else if (asynchrony == "random") {
    made.options.asynchrony = ptxemu::Asynchrony::Random;
  } else if (asynchrony == "earliest") {
    made.options.asynchrony = ptxemu::Asynchrony::Earliest;
  } else {
    complain("MSA_PTXEMU_ASYNC: expected latest, random or earliest, found '" + asynchrony + "'");
    std::exit(2);
  }
  return made;
}

Device::Device() : configuration(Configuration::fromEnvironment()), random(configuration.options.seed) {
  streams.push_back(std::make_unique<Stream>());
}

Device::~Device() = default;

bool Device::isPinned(const void *host, size_t bytes) const {
  auto after = pinned.upper_bound(const_cast<void *>(host));
  if (after == pinned.begin())
    return false;
  auto &[start, size] = *std::prev(after);
  auto offset = size_t(static_cast<const uint8_t *>(host) - static_cast<const uint8_t *>(start));
  return offset <= size && bytes <= size - offset;
}

uint8_t *Device::at(CUdeviceptr address, size_t bytes) const { return static_cast<uint8_t *>(memory.hostPointer(address, bytes)); }

bool Device::contains(const void *pattern, size_t bytes) const {
  auto *wanted = static_cast<const uint8_t *>(pattern);
  auto found = [&](const uint8_t *begin, size_t size) { return std::search(begin, begin + size, wanted, wanted + bytes) != begin + size; };
  for (auto &[address, size] : allocations)
    if (found(at(address, size), size))
      return true;
  for (auto &[address, size] : pinned)
    if (found(static_cast<const uint8_t *>(address), size))
      return true;
  for (const auto &block : freed)
    if (found(block.data(), block.size()))
      return true;
  return false;
}

Driver &driver() {
  static Driver *instance = new Driver; // never destroyed: threads may call to the very end
  return *instance;
}

int &currentContexts() {
  thread_local int count = 0;
  return count;
}

int &recordings() {
  thread_local int count = 0;
  return count;
}

void complain(const std::string &text) {
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = std::min(text.find('\n', begin), text.size());
    std::fprintf(stderr, "libcuda stand-in: %.*s\n", int(end - begin), text.c_str() + begin);
    begin = end + 1;
  }
}

} // namespace standin
