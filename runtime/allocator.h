// SPDX-License-Identifier: Apache-2.0
//
// Memory of the runtime core. Everything comes from the host's msa_allocator and every request may fail; there is no operator new
// and no standard container here, because those answer a refusal with an exception, which must not cross the C interface.

#ifndef MSA_RUNTIME_ALLOCATOR_H
#define MSA_RUNTIME_ALLOCATOR_H

#include "msa/msa.h"

#include <atomic>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

namespace msa::rt {

/// Alignment of everything that kernels touch.
inline constexpr size_t kBufferAlignment = 64;

class Allocator {
public:
  Allocator() = default;
  /// Functions that are null are replaced by the C heap.
  explicit Allocator(const msa_allocator &host);

  void *allocate(size_t size, size_t alignment) const { return host.allocate(host.user, size, alignment); }
  void release(void *pointer, size_t size, size_t alignment) const {
    if (pointer)
      host.release(host.user, pointer, size, alignment);
  }

  template <typename T, typename... Args> T *create(Args &&...args) const {
    void *memory = allocate(sizeof(T), alignof(T) < 16 ? 16 : alignof(T));
    return memory ? new (memory) T(std::forward<Args>(args)...) : nullptr;
  }
  template <typename T> void destroy(T *object) const {
    if (!object)
      return;
    object->~T();
    release(object, sizeof(T), alignof(T) < 16 ? 16 : alignof(T));
  }

  const msa_allocator &get() const { return host; }

private:
  msa_allocator host = {};
};

/// An array that grows, of elements that may be moved by memcpy. Growth that fails leaves it as it was.
template <typename T> class Vector {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

public:
  explicit Vector(const Allocator &allocator) : allocator(&allocator) {}
  Vector(const Vector &) = delete;
  Vector &operator=(const Vector &) = delete;
  ~Vector() { allocator->release(elements, capacity * sizeof(T), alignment()); }

  size_t size() const { return count; }
  bool empty() const { return count == 0; }
  T *data() { return elements; }
  const T *data() const { return elements; }
  T &operator[](size_t index) { return elements[index]; }
  const T &operator[](size_t index) const { return elements[index]; }
  T &back() { return elements[count - 1]; }
  T *begin() { return elements; }
  T *end() { return elements + count; }
  const T *begin() const { return elements; }
  const T *end() const { return elements + count; }

  [[nodiscard]] bool reserve(size_t wanted) {
    if (wanted <= capacity)
      return true;
    size_t grown = capacity + capacity / 2;
    if (grown < wanted)
      grown = wanted;
    if (grown < 8)
      grown = 8;
    if (grown > SIZE_MAX / sizeof(T))
      return false;
    void *memory = allocator->allocate(grown * sizeof(T), alignment());
    if (!memory)
      return false;
    if (count)
      std::memcpy(memory, elements, count * sizeof(T));
    allocator->release(elements, capacity * sizeof(T), alignment());
    elements = static_cast<T *>(memory);
    capacity = grown;
    return true;
  }
  [[nodiscard]] bool push(const T &element) {
    T copy = element;
    if (!reserve(count + 1))
      return false;
    elements[count++] = copy;
    return true;
  }
  /// New elements are value-initialised.
  [[nodiscard]] bool resize(size_t wanted) {
    if (!reserve(wanted))
      return false;
    for (size_t i = count; i < wanted; ++i)
      new (elements + i) T();
    count = wanted;
    return true;
  }
  [[nodiscard]] bool insert(size_t index, const T &element) {
    T copy = element;
    if (!reserve(count + 1))
      return false;
    if (count > index)
      std::memmove(elements + index + 1, elements + index, (count - index) * sizeof(T));
    elements[index] = copy;
    ++count;
    return true;
  }
  void erase(size_t index) {
    --count;
    if (count > index)
      std::memmove(elements + index, elements + index + 1, (count - index) * sizeof(T));
  }
  void pop() { --count; }
  void clear() { count = 0; }

private:
  static constexpr size_t alignment() { return alignof(T) < 16 ? 16 : alignof(T); }

  const Allocator *allocator;
  T *elements = nullptr;
  size_t count = 0;
  size_t capacity = 0;
};

/// Owner count of a handle. The handle's release function destroys it when drop() says so.
class OwnerCount {
public:
  void add() { count.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] bool drop() { return count.fetch_sub(1, std::memory_order_acq_rel) == 1; }

private:
  std::atomic<uint32_t> count{1};
};

} // namespace msa::rt

#endif // MSA_RUNTIME_ALLOCATOR_H
