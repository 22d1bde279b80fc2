// Vectors of the instruction set that is being compiled, as the compiler's own vector types: a * b + c becomes a fused
// multiply-add where there is one (-ffp-contract=fast).
//
// All that is compiled for one instruction set lies in a namespace of its own, DWCA_ISA, so that the linker never takes
// one set's code for another's.
#pragma once

#include <cstdint>
#include <cstring>

#include "unroll.h"

#if defined(__F16C__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef DWCA_ISA
#define DWCA_ISA native
#endif

namespace dwca {
namespace DWCA_ISA {

#if defined(DWCA_SCALAR)
inline constexpr int max_lanes = 1;
#elif defined(__AVX512F__)
inline constexpr int max_lanes = 16;
#elif defined(__AVX2__)
inline constexpr int max_lanes = 8;
#elif defined(__aarch64__)
inline constexpr int max_lanes = 4;
#else
inline constexpr int max_lanes = 1;
#endif

template <class T, int L>
struct VectorOf {
  typedef T type __attribute__((vector_size(L * sizeof(T))));
};
template <class T>
struct VectorOf<T, 1> {
  typedef T type;
};
template <class T, int L>
using Vector = typename VectorOf<T, L>::type;

/// Unaligned.
template <int L, class T>
DWCA_INLINE Vector<T, L> load(const T* from) {
  Vector<T, L> value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class V, class T>
DWCA_INLINE void store(T* to, V value) {
  std::memcpy(to, &value, sizeof value);
}

template <class T, int L>
DWCA_INLINE Vector<T, L> splat(T value) {
  return Vector<T, L>{} + value;
}

}  // namespace DWCA_ISA
}  // namespace dwca
