// SPDX-License-Identifier: Apache-2.0
//
// ptxemu for Python's ctypes (gpu_kernels.py): modules, memory and launches behind plain functions.

#include <algorithm>
#include <ptxemu/ptxemu.h>

namespace {

void tell(const std::string &text, char *out, uint64_t size) {
  if (size == 0)
    return;
  uint64_t length = std::min<uint64_t>(text.size(), size - 1);
  std::copy_n(text.data(), length, out);
  out[length] = 0;
}

using ModulePointer = std::shared_ptr<const ptxemu::Module>;

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

/// Null, and why in `message`, for text that cannot be parsed.
EXPORT void *emulator_module(const char *text, char *message, uint64_t size) {
  try {
    return new ModulePointer(ptxemu::Module::parse(text));
  } catch (const std::exception &error) {
    tell(error.what(), message, size);
    return nullptr;
  }
}
EXPORT void emulator_free_module(void *module) { delete static_cast<ModulePointer *>(module); }

EXPORT void *emulator_memory() { return new ptxemu::Memory(); }
EXPORT void emulator_free_memory(void *memory) { delete static_cast<ptxemu::Memory *>(memory); }

/// Memory of `bytes` with a copy of `from`, or full of 0xFF bytes without one.
EXPORT uint64_t emulator_allocate(void *memory, uint64_t bytes, const char *label, int readOnly, const void *from) {
  auto &device = *static_cast<ptxemu::Memory *>(memory);
  uint64_t address = device.allocate(bytes, label, readOnly ? ptxemu::Access::Read : ptxemu::Access::ReadWrite);
  if (from && bytes)
    device.write(address, from, bytes);
  return address;
}
EXPORT void emulator_read(void *memory, void *to, uint64_t address, uint64_t bytes) {
  if (bytes)
    static_cast<ptxemu::Memory *>(memory)->read(to, address, bytes);
}

/// Runs a grid. 0 and the number of warp instructions in `instructions`, or 1 and every report in `message`.
EXPORT int emulator_launch(void *module, void *memory, const char *kernel, const uint32_t *grid, uint32_t block, uint32_t shared, const void *parameters,
                           uint64_t parameterBytes, uint32_t asynchrony, uint64_t seed, uint64_t *instructions, char *message, uint64_t size) {
  try {
    ptxemu::Launch launch;
    launch.kernel = kernel;
    launch.grid = {grid[0], grid[1], grid[2]};
    launch.block = {block, 1, 1};
    launch.dynamicSharedBytes = shared;
    auto *bytes = static_cast<const std::byte *>(parameters);
    launch.parameters.assign(bytes, bytes + parameterBytes);
    ptxemu::Options options;
    options.asynchrony = static_cast<ptxemu::Asynchrony>(asynchrony);
    options.seed = seed;
    options.strictFence = true;
    options.traffic = false;
    ptxemu::Result result = ptxemu::launch(**static_cast<ModulePointer *>(module), *static_cast<ptxemu::Memory *>(memory), launch, options);
    *instructions = result.stats.warpInstructions;
    if (result.ok() && result.warnings.empty())
      return 0;
    tell(result.text(), message, size);
  } catch (const std::exception &error) {
    tell(error.what(), message, size);
  }
  return 1;
}
