// SPDX-License-Identifier: Apache-2.0

#include "Device.h"

#include <sys/mman.h>

namespace cases {

MapSizes evaluate(const TensorMap &map, std::span<const int64_t> scalars) {
  MapSizes sizes;
  for (const Term &term : map.dims)
    sizes.dims.push_back(static_cast<uint64_t>(term.evaluate(scalars)));
  for (const Term &term : map.strides)
    sizes.strides.push_back(static_cast<uint64_t>(term.evaluate(scalars)));
  if (sizes.dims.empty() || sizes.strides.size() + 1 != sizes.dims.size() || map.box.size() != sizes.dims.size())
    throw Error("a tensor map of " + std::to_string(sizes.dims.size()) + " dims has " + std::to_string(sizes.strides.size()) + " strides and a box of " +
                std::to_string(map.box.size()));
  return sizes;
}

EmulatorDevice::EmulatorDevice(std::shared_ptr<const ptxemu::Module> module, const ptxemu::Options &options, unsigned multiprocessors)
    : module(std::move(module)), options(options), processors(multiprocessors) {}

uint64_t EmulatorDevice::allocate(uint64_t bytes, const std::string &label, bool writable) {
  return memory.allocate(bytes, label, writable ? ptxemu::Access::ReadWrite : ptxemu::Access::Read);
}

uint64_t EmulatorDevice::reserve(uint64_t bytes, const std::string &label, bool writable) {
  void *host = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (host == MAP_FAILED)
    throw Error("the machine gives no " + std::to_string(bytes) + " bytes of addresses for '" + label + "'");
  reserved.emplace_back(host, [bytes](void *at) { munmap(at, bytes); });
  return memory.registerHost(host, bytes, label, writable ? ptxemu::Access::ReadWrite : ptxemu::Access::Read);
}

std::vector<std::byte> EmulatorDevice::encode(const TensorMap &map, std::span<const int64_t> scalars, uint64_t address) {
  using Type = ptxemu::TensorMapType;
  Type type = map.type == "f32"    ? Type::Float32
              : map.type == "f16"  ? Type::Float16
              : map.type == "bf16" ? Type::Bfloat16
              : map.type == "u8"   ? Type::Uint8
                                   : throw Error("no tensor map has elements of type '" + map.type + "'");
  MapSizes sizes = evaluate(map, scalars);
  std::vector<uint32_t> ones(sizes.dims.size(), 1);
  ptxemu::TensorMap image;
  auto swizzle = static_cast<ptxemu::TensorMapSwizzle>(map.swizzle == 0 ? 0 : map.swizzle == 32 ? 1 : map.swizzle == 64 ? 2 : 3);
  std::string refused = ptxemu::encodeTensorMap(image, type, static_cast<uint32_t>(sizes.dims.size()), address, sizes.dims.data(), sizes.strides.data(),
                                                map.box.data(), ones.data(), 0, swizzle, 2, 0);
  if (!refused.empty())
    throw Error("tensor map of buffer " + std::to_string(map.buffer) + ": " + refused);
  std::vector<std::byte> bytes(sizeof(image));
  std::memcpy(bytes.data(), &image, sizeof(image));
  return bytes;
}

std::string EmulatorDevice::run(std::span<const Call> calls) {
  for (const Call &call : calls) {
    const ptxemu::Kernel *kernel = module->find(call.symbol);
    if (!kernel)
      return "the PTX has no kernel '" + call.symbol + "'";
    if (call.arguments.size() != kernel->parameters.size())
      return "kernel '" + call.symbol + "' has " + std::to_string(kernel->parameters.size()) + " parameters, expected " + std::to_string(call.arguments.size());
    std::vector<const void *> pointers;
    for (size_t i = 0; i < call.arguments.size(); ++i) {
      if (call.arguments[i].size() != kernel->parameters[i].size)
        return "kernel '" + call.symbol + "': parameter " + std::to_string(i) + " has " + std::to_string(kernel->parameters[i].size) + " bytes, expected " +
               std::to_string(call.arguments[i].size());
      pointers.push_back(call.arguments[i].data());
    }
    ptxemu::Launch launch;
    launch.kernel = call.symbol;
    launch.grid = {call.grid[0], call.grid[1], call.grid[2]};
    launch.block = {call.block};
    if (call.cluster > 1)
      launch.cluster = {call.cluster};
    launch.dynamicSharedBytes = call.dynamicShared;
    launch.parameters = kernel->packPointers(pointers);
    outcomes.push_back(ptxemu::launch(*module, memory, launch, options));
    if (!outcomes.back().ok())
      return outcomes.back().text();
  }
  return "";
}

} // namespace cases
