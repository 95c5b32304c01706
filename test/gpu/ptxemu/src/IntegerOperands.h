// SPDX-License-Identifier: Apache-2.0
//
// What the files of integer instructions share.

#pragma once

#include "Decode.h"
#include "Lanes.h"

namespace ptxemu {

template <typename T> using U = std::make_unsigned_t<T>;

/// Handlers by integer type, for forInteger().
template <typename Op> struct Binary { template <typename T> struct For { static constexpr Handler handler = binary<T, Op>; }; };
template <typename Op> struct Unary { template <typename T> struct For { static constexpr Handler handler = unary<T, T, Op>; }; };
template <typename Op> struct Count { template <typename T> struct For { static constexpr Handler handler = unary<uint32_t, T, Op>; }; };

inline void require(Decoding &d, Handler handler, Type type) {
  if (!handler)
    d.fail("type ." + std::string(typeName(type)) + " is not supported");
  d.insn.handler = handler;
}

/// `sources` operands of one type and a result of it.
inline void plainOperands(Decoding &d, Type type, size_t sources) {
  d.expectOperands(sources + 1, sources + 1);
  for (size_t i = 1; i <= sources; ++i)
    d.insn.slots[i] = d.read(i, type);
  d.insn.slots[0] = d.write(0, type);
}

} // namespace ptxemu
