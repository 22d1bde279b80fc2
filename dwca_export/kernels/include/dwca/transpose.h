// Square transposition in registers: log2(L) rounds, each of which interleaves row i with row i + L / 2.
#pragma once

#include "vector.h"

namespace dwca {
namespace DWCA_ISA {

#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
template <class V, int... I>
DWCA_INLINE V interleave(V a, V b, int, std::integer_sequence<int, I...>) {
  constexpr int L = sizeof...(I);
  return __builtin_shufflevector(a, b, (I % 2 * L + I / 2)...);
}
template <class V, int... I>
DWCA_INLINE V interleave_upper(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int L = sizeof...(I);
  return __builtin_shufflevector(a, b, (I % 2 * L + I / 2 + L / 2)...);
}

/// rows[i][j] <-> rows[j][i]
template <class T, int L>
DWCA_INLINE void transpose(Vector<T, L> (&rows)[L]) {
  constexpr auto all = std::make_integer_sequence<int, L>{};
  for (int round = 1; round < L; round *= 2) {
    Vector<T, L> next[L];
    unroll<L / 2>([&](auto i) DWCA_INLINED {
      next[2 * i] = interleave(rows[i], rows[i + L / 2], 0, all);
      next[2 * i + 1] = interleave_upper(rows[i], rows[i + L / 2], all);
    });
    unroll<L>([&](auto i) DWCA_INLINED { rows[i] = next[i]; });
  }
}
#else
/// rows[i][j] <-> rows[j][i]
template <class T, int L>
DWCA_INLINE void transpose(Vector<T, L> (&rows)[L]) {
  for (int i = 0; i < L; ++i)
    for (int j = 0; j < i; ++j) {
      const T value = rows[i][j];
      rows[i][j] = rows[j][i];
      rows[j][i] = value;
    }
}
#endif

}  // namespace DWCA_ISA
}  // namespace dwca
