// SPDX-License-Identifier: Apache-2.0
//
// Loops over the 32 lanes of a warp. All lanes are computed, those of the mask are kept: such loops vectorise.

#pragma once

#include "Machine.h"
#include <bit>
#include <cstring>
#include <type_traits>

namespace ptxemu {

template <typename T> using SlotOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <typename T> inline T fromSlot(SlotOf<T> slot) {
  if constexpr (std::is_floating_point_v<T>)
    return std::bit_cast<T>(slot);
  else
    return T(slot);
}

template <typename T> inline SlotOf<T> toSlot(T value) {
  if constexpr (std::is_floating_point_v<T>)
    return std::bit_cast<SlotOf<T>>(value);
  else
    return SlotOf<T>(std::make_unsigned_t<T>(value));
}

/// Writes the lanes of `mask` of a computed register.
template <typename S> inline void store(S *__restrict to, const S *__restrict from, uint32_t mask) {
  if (mask == ~0u) {
    std::memcpy(to, from, 32 * sizeof(S));
    return;
  }
  for (uint32_t l = 0; l < 32; ++l)
    to[l] = mask & (1u << l) ? from[l] : to[l];
}

/// d = f(a) with types D and A.
template <typename D, typename A, typename F> inline Step mapOne(Warp &warp, const Insn &insn, uint32_t mask, F f) {
  const auto *a = warp.lanes<SlotOf<A>>(insn.slots[1]);
  SlotOf<D> t[32];
  for (uint32_t l = 0; l < 32; ++l)
    t[l] = toSlot<D>(f(fromSlot<A>(a[l])));
  store(warp.lanes<SlotOf<D>>(insn.slots[0]), t, mask);
  return Step::Next;
}

/// d = f(a, b).
template <typename D, typename A, typename B, typename F> inline Step mapTwo(Warp &warp, const Insn &insn, uint32_t mask, F f) {
  const auto *a = warp.lanes<SlotOf<A>>(insn.slots[1]);
  const auto *b = warp.lanes<SlotOf<B>>(insn.slots[2]);
  SlotOf<D> t[32];
  for (uint32_t l = 0; l < 32; ++l)
    t[l] = toSlot<D>(f(fromSlot<A>(a[l]), fromSlot<B>(b[l])));
  store(warp.lanes<SlotOf<D>>(insn.slots[0]), t, mask);
  return Step::Next;
}

/// d = f(a, b, c).
template <typename D, typename A, typename B, typename C, typename F>
inline Step mapThree(Warp &warp, const Insn &insn, uint32_t mask, F f) {
  const auto *a = warp.lanes<SlotOf<A>>(insn.slots[1]);
  const auto *b = warp.lanes<SlotOf<B>>(insn.slots[2]);
  const auto *c = warp.lanes<SlotOf<C>>(insn.slots[3]);
  SlotOf<D> t[32];
  for (uint32_t l = 0; l < 32; ++l)
    t[l] = toSlot<D>(f(fromSlot<A>(a[l]), fromSlot<B>(b[l]), fromSlot<C>(c[l])));
  store(warp.lanes<SlotOf<D>>(insn.slots[0]), t, mask);
  return Step::Next;
}

/// Handlers of functors: Op::apply(values) -> value.
template <typename D, typename A, typename Op> Step unary(Warp &warp, const Insn &insn, uint32_t mask) {
  return mapOne<D, A>(warp, insn, mask, [](A a) { return Op::apply(a); });
}
template <typename T, typename Op> Step binary(Warp &warp, const Insn &insn, uint32_t mask) {
  return mapTwo<T, T, T>(warp, insn, mask, [](T a, T b) { return Op::apply(a, b); });
}
template <typename D, typename A, typename B, typename Op> Step mixedBinary(Warp &warp, const Insn &insn, uint32_t mask) {
  return mapTwo<D, A, B>(warp, insn, mask, [](A a, B b) { return Op::apply(a, b); });
}
template <typename D, typename A, typename B, typename C, typename Op> Step ternary(Warp &warp, const Insn &insn, uint32_t mask) {
  return mapThree<D, A, B, C>(warp, insn, mask, [](A a, B b, C c) { return Op::apply(a, b, c); });
}

/// The handler of an integer type, by width and sign; untyped counts as unsigned.
template <template <typename> typename Make> Handler forInteger(Type type) {
  switch (type) {
  case Type::U8: case Type::B8: return Make<uint8_t>::handler;
  case Type::S8: return Make<int8_t>::handler;
  case Type::U16: case Type::B16: return Make<uint16_t>::handler;
  case Type::S16: return Make<int16_t>::handler;
  case Type::U32: case Type::B32: return Make<uint32_t>::handler;
  case Type::S32: return Make<int32_t>::handler;
  case Type::U64: case Type::B64: return Make<uint64_t>::handler;
  case Type::S64: return Make<int64_t>::handler;
  default: return nullptr;
  }
}

/// Wider unsigned and signed types for products.
template <typename T> struct WiderOf;
template <> struct WiderOf<uint8_t> { using type = uint16_t; };
template <> struct WiderOf<int8_t> { using type = int16_t; };
template <> struct WiderOf<uint16_t> { using type = uint32_t; };
template <> struct WiderOf<int16_t> { using type = int32_t; };
template <> struct WiderOf<uint32_t> { using type = uint64_t; };
template <> struct WiderOf<int32_t> { using type = int64_t; };
template <> struct WiderOf<uint64_t> { using type = unsigned __int128; };
template <> struct WiderOf<int64_t> { using type = __int128; };
template <typename T> using Wider = typename WiderOf<T>::type;

} // namespace ptxemu
