// SPDX-License-Identifier: Apache-2.0
//
// The global address space between launches.

#include "MemoryImpl.h"
#include <cstdlib>
#include <cstring>

namespace ptxemu {

Memory::Memory() : pimpl(std::make_unique<MemoryImpl>()) {}
Memory::~Memory() = default;

/// Allocations lie where no host pointer can: a kernel's address used by the host faults.
static constexpr uint64_t firstAddress = uint64_t(1) << 48, allocationAlignment = 512;
static constexpr size_t freedRemembered = 4096;

uint64_t MemoryImpl::allocate(uint64_t bytes, std::string label, Access access) {
  if (bytes > uint64_t(1) << 46)
    throw Error("cannot allocate " + std::to_string(bytes) + " bytes");
  void *host = std::aligned_alloc(allocationAlignment, std::max<uint64_t>(bytes + allocationAlignment - 1, 1) / allocationAlignment * allocationAlignment + allocationAlignment);
  if (!host)
    throw Error("cannot allocate " + std::to_string(bytes) + " bytes");
  std::memset(host, 0xff, bytes);
  auto range = std::make_shared<Range>();
  range->storage = std::shared_ptr<void>(host, std::free);
  range->host = static_cast<uint8_t *>(host);
  range->label = std::move(label);
  range->access = access;
  std::lock_guard lock(mutex);
  range->begin = next;
  range->end = next + bytes;
  // A gap, so that small overruns meet nobody.
  next = (range->end + allocationAlignment) / allocationAlignment * allocationAlignment + allocationAlignment;
  if (range->label.empty())
    range->label = "allocation " + std::to_string(++unnamed);
  allocated += bytes;
  ranges[range->begin] = range;
  return range->begin;
}

void MemoryImpl::free(uint64_t address) {
  std::lock_guard lock(mutex);
  auto found = ranges.find(address);
  if (found == ranges.end() || found->second->isHost)
    throw Error("free of an address that is not the beginning of an allocation");
  if (!found->second->live)
    throw Error("double free of '" + found->second->label + "'");
  // Snapshots of running launches keep the old range.
  auto dead = std::make_shared<Range>(*found->second);
  dead->live = false;
  dead->storage = nullptr;
  dead->host = nullptr;
  allocated -= dead->end - dead->begin;
  found->second = dead;
  freed.push_back(address);
  if (freed.size() > freedRemembered) {
    ranges.erase(freed.front());
    freed.pop_front();
  }
}

std::shared_ptr<MemoryImpl::Range> MemoryImpl::lookUp(uint64_t address) const {
  auto after = ranges.upper_bound(address);
  if (after == ranges.begin())
    return nullptr;
  --after;
  return address < after->second->end || address == after->first ? after->second : nullptr;
}

uint64_t Memory::allocate(uint64_t bytes, std::string label, Access access) { return pimpl->allocate(bytes, std::move(label), access); }

void Memory::free(uint64_t address) { pimpl->free(address); }

uint64_t Memory::registerHost(void *host, uint64_t bytes, std::string label, Access access) {
  auto range = std::make_shared<MemoryImpl::Range>();
  range->begin = reinterpret_cast<uint64_t>(host);
  range->end = range->begin + bytes;
  if (!host || range->end < range->begin || range->end >= firstAddress)
    throw Error("not a range of host memory");
  range->host = static_cast<uint8_t *>(host);
  range->label = label.empty() ? "host memory" : std::move(label);
  range->access = access;
  range->isHost = true;
  std::lock_guard lock(pimpl->mutex);
  auto after = pimpl->ranges.lower_bound(range->begin);
  bool overlapsNext = after != pimpl->ranges.end() && after->first < range->end;
  bool overlapsLast = after != pimpl->ranges.begin() && std::prev(after)->second->end > range->begin;
  if (overlapsNext || overlapsLast)
    throw Error("'" + range->label + "' overlaps memory that is registered");
  pimpl->ranges[range->begin] = range;
  return range->begin;
}

void Memory::unregisterHost(void *host) {
  std::lock_guard lock(pimpl->mutex);
  auto found = pimpl->ranges.find(reinterpret_cast<uint64_t>(host));
  if (found == pimpl->ranges.end() || !found->second->isHost)
    throw Error("not the beginning of registered host memory");
  pimpl->ranges.erase(found);
}

void *Memory::hostPointer(uint64_t address, uint64_t bytes) const {
  std::lock_guard lock(pimpl->mutex);
  auto range = pimpl->lookUp(address);
  if (!range)
    throw Error("address is not in device memory");
  if (!range->live)
    throw Error("'" + range->label + "' has been freed");
  if (bytes > range->end - address)
    throw Error(std::to_string(bytes) + " bytes at byte " + std::to_string(address - range->begin) + " of '" + range->label + "', which has " +
                std::to_string(range->end - range->begin));
  return range->host + (address - range->begin);
}

void Memory::write(uint64_t address, const void *from, uint64_t bytes) {
  if (bytes)
    std::memmove(hostPointer(address, bytes), from, bytes);
}
void Memory::read(void *to, uint64_t address, uint64_t bytes) const {
  if (bytes)
    std::memmove(to, hostPointer(address, bytes), bytes);
}
void Memory::fill(uint64_t address, int byte, uint64_t bytes) {
  if (bytes)
    std::memset(hostPointer(address, bytes), byte, bytes);
}

std::optional<Allocation> Memory::find(uint64_t address) const {
  std::lock_guard lock(pimpl->mutex);
  auto range = pimpl->lookUp(address);
  if (!range || !range->live)
    return std::nullopt;
  return Allocation{range->begin, range->end - range->begin, range->host, range->label, range->access};
}

uint64_t Memory::allocatedBytes() const {
  std::lock_guard lock(pimpl->mutex);
  return pimpl->allocated;
}

//===--------------------------------------------------------------------===//
// Modules
//===--------------------------------------------------------------------===//

void Memory::load(const Module &module) { pimpl->load(module.impl()); }

std::vector<uint64_t> MemoryImpl::load(const ModuleImpl &module) {
  std::lock_guard loading(loadMutex);
  {
    std::lock_guard lock(mutex);
    auto found = modules.find(module.identity);
    if (found != modules.end())
      return found->second;
  }
  std::vector<uint64_t> addresses;
  for (const VariableImage &image : module.images)
    addresses.push_back(allocate(image.info.size, (image.info.constant ? "const variable " : "variable ") + image.info.name,
                                 image.info.constant ? Access::Read : Access::ReadWrite));
  std::lock_guard lock(mutex);
  for (size_t i = 0; i < module.images.size(); ++i) {
    const VariableImage &image = module.images[i];
    uint8_t *host = ranges[addresses[i]]->host;
    std::memset(host, 0, image.info.size);
    std::copy(image.bytes.begin(), image.bytes.end(), host);
    for (const VariableImage::Relocation &relocation : image.relocations) {
      uint64_t value = addresses[relocation.variable] + relocation.addend;
      std::memcpy(host + relocation.offset, &value, 8);
    }
  }
  modules[module.identity] = addresses;
  return addresses;
}

void Memory::unload(const Module &module) {
  std::vector<uint64_t> addresses;
  {
    std::lock_guard lock(pimpl->mutex);
    auto found = pimpl->modules.find(module.impl().identity);
    if (found == pimpl->modules.end())
      return;
    addresses = std::move(found->second);
    pimpl->modules.erase(found);
  }
  for (uint64_t address : addresses)
    pimpl->free(address);
}

std::optional<std::pair<uint64_t, uint64_t>> Memory::variable(const Module &module, std::string_view name) const {
  std::lock_guard lock(pimpl->mutex);
  auto found = pimpl->modules.find(module.impl().identity);
  if (found == pimpl->modules.end())
    return std::nullopt;
  for (size_t i = 0; i < module.variables().size(); ++i)
    if (module.variables()[i].name == name)
      return std::pair{found->second[i], module.variables()[i].size};
  return std::nullopt;
}

} // namespace ptxemu
