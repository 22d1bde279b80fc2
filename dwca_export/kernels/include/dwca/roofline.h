// What a core can do at most: multiply-adds from registers, and bytes copied.
#pragma once

#include <cstddef>

#include "vector.h"

namespace dwca {
namespace DWCA_ISA {

/// Multiply-adds of one call of `multiply_add`.
inline constexpr int multiply_adds_at_once = 64 * 12 * max_lanes;

/// Twelve sums that do not depend on each other, so that the adders' latency is hidden. Returns what keeps them alive.
inline float multiply_add() {
  using V = Vector<float, max_lanes>;
  V sums[12], factor = splat<float, max_lanes>(0.999f), term = splat<float, max_lanes>(0.001f);
  unroll<12>([&](auto i) DWCA_INLINED { sums[i] = term * float(i); });
  for (int round = 0; round < 64; ++round) {
    unroll<12>([&](auto i) DWCA_INLINED { sums[i] = sums[i] * factor + term; });
    asm volatile("" : : : "memory");
  }
  V all{};
  unroll<12>([&](auto i) DWCA_INLINED { all += sums[i]; });
  float numbers[max_lanes];
  store(numbers, all);
  return numbers[0];
}

/// Copies `count` numbers, a multiple of the lanes.
inline void copy(const float* from, float* to, std::size_t count) {
  for (std::size_t i = 0; i < count; i += max_lanes) store(to + i, load<max_lanes>(from + i));
}

}  // namespace DWCA_ISA
}  // namespace dwca
