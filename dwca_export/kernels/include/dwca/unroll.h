// Loops whose index is a constant, so that an array which it indexes can live in registers. `unroll` makes it one by the
// language; DWCA_UNROLL asks the compiler, which takes a fifth of the time to compile deep nests.
#pragma once

#include <type_traits>
#include <utility>

#define DWCA_INLINE __attribute__((always_inline)) inline
#define DWCA_UNROLL _Pragma("GCC unroll 64")
#define DWCA_UNROLL_FOUR _Pragma("GCC unroll 4")
#define DWCA_INLINED __attribute__((always_inline))  // of a lambda

namespace dwca {

template <int I>
using Index = std::integral_constant<int, I>;

template <class Body, int... I>
DWCA_INLINE void unroll_each(Body&& body, std::integer_sequence<int, I...>) {
  (body(Index<I>{}), ...);
}

/// body(Index<0>{}), body(Index<1>{}), ..., body(Index<Count - 1>{})
template <int Count, class Body>
DWCA_INLINE void unroll(Body&& body) {
  unroll_each(body, std::make_integer_sequence<int, Count>{});
}

}  // namespace dwca
