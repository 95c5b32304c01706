// SPDX-License-Identifier: Apache-2.0
//
// Built with -frounding-math: the host's rounding mode is changed here and nowhere else.

#include "FloatRounded.h"
#include "FloatMath.h"
#include "Lanes.h"
#include <cfenv>

namespace ptxemu {

namespace {
struct RoundingScope {
  int before = std::fegetround();
  explicit RoundingScope(int direction) {
    static constexpr int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    std::fesetround(modes[direction & 3]);
  }
  ~RoundingScope() { std::fesetround(before); }
};
} // namespace

template <typename T> static T calculate(RoundedOperation operation, T x, T y, T z) {
  // Through volatile, so that nothing moves out of the scope of the rounding mode.
  volatile T a = x, b = y, c = z, result = 0;
  switch (operation) {
  case RoundedOperation::Add: result = a + b; break;
  case RoundedOperation::Sub: result = a - b; break;
  case RoundedOperation::Mul: result = a * b; break;
  case RoundedOperation::Fma: result = std::fma(T(a), T(b), T(c)); break;
  case RoundedOperation::Div: result = a / b; break;
  case RoundedOperation::Sqrt: result = std::sqrt(T(a)); break;
  case RoundedOperation::Rcp: result = T(1) / a; break;
  }
  return result;
}

template <typename T> static Step run(Warp &warp, const Insn &insn, uint32_t mask) {
  auto operation = RoundedOperation(insn.c);
  bool ftz = insn.b & 1, sat = insn.b & 2;
  SlotOf<T> t[32] = {};
  auto source = [&](int which, uint32_t lane) -> T {
    if (insn.slots[size_t(which)] == noSlot)
      return 0;
    T value = fromSlot<T>(warp.lanes<SlotOf<T>>(insn.slots[size_t(which)])[lane]);
    if constexpr (sizeof(T) == 4)
      if (ftz)
        value = flushed(value);
    return value;
  };
  {
    RoundingScope scope(insn.a);
    for (uint32_t l = 0; l < 32; ++l) {
      T result = calculate<T>(operation, source(1, l), source(2, l), source(3, l));
      if constexpr (sizeof(T) == 4)
        if (ftz)
          result = flushed(result);
      if (sat)
        result = saturated(result);
      t[l] = toSlot<T>(result);
    }
  }
  store(warp.lanes<SlotOf<T>>(insn.slots[0]), t, mask);
  return Step::Next;
}

Step roundedFloat(Warp &warp, const Insn &insn, uint32_t mask) { return run<float>(warp, insn, mask); }
Step roundedDouble(Warp &warp, const Insn &insn, uint32_t mask) { return run<double>(warp, insn, mask); }

float roundToFloat(double value, int direction) {
  RoundingScope scope(direction);
  volatile double in = value;
  volatile float out = float(in);
  return out;
}

} // namespace ptxemu
