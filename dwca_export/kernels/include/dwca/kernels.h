// The table of kernels of the instruction set that is being compiled. To add a kernel is to add a row.
#pragma once

#include "direct.h"
#include "generic.h"
#include "winograd.h"

namespace dwca {
namespace DWCA_ISA {

template <class K>
constexpr Kernel row(const char* algorithm, int kernel, int stride, int lanes, Arithmetic arithmetic) {
  return {algorithm, kernel, stride, lanes, arithmetic, K::weights_size, K::prepare, K::workspace_size, K::run};
}

/// Of those that can compute a layer, the first is the one to take if nothing is known of their speed.
#define DWCA_DIRECT_ROWS(T, L, ARITHMETIC)                              \
  row<Direct<T, L, 3, 1>>("direct", 3, 1, L, ARITHMETIC),               \
      row<Direct<T, L, 3, 2>>("direct", 3, 2, L, ARITHMETIC),           \
      row<Direct<T, L, 5, 1>>("direct", 5, 1, L, ARITHMETIC),           \
      row<Direct<T, L, 5, 2>>("direct", 5, 2, L, ARITHMETIC),           \
      row<Direct<T, L, 7, 1>>("direct", 7, 1, L, ARITHMETIC),           \
      row<Direct<T, L, 7, 2>>("direct", 7, 2, L, ARITHMETIC)

#define DWCA_WINOGRAD_ROWS(L)                                                                              \
  row<Winograd<L, 2, 3, Summed>>("winograd_1d F(2,3)", 3, 1, L, Arithmetic::fp32),                         \
      row<Winograd<L, 4, 3, Summed>>("winograd_1d F(4,3)", 3, 1, L, Arithmetic::fp32),                     \
      row<Winograd<L, 2, 5, Summed>>("winograd_1d F(2,5)", 5, 1, L, Arithmetic::fp32),                     \
      row<Winograd<L, 4, 5, Summed>>("winograd_1d F(4,5)", 5, 1, L, Arithmetic::fp32),                     \
      row<Winograd<L, 6, 5, Summed>>("winograd_1d F(6,5)", 5, 1, L, Arithmetic::fp32),                     \
      row<Winograd<L, 2, 3, Filtered>>("winograd_2d F(2x2,3x3)", 3, 1, L, Arithmetic::fp32),               \
      row<Winograd<L, 4, 3, Filtered>>("winograd_2d F(4x4,3x3)", 3, 1, L, Arithmetic::fp32),               \
      row<Winograd<L, 2, 5, Filtered>>("winograd_2d F(2x2,5x5)", 5, 1, L, Arithmetic::fp32),               \
      row<Winograd<L, 4, 5, Filtered>>("winograd_2d F(4x4,5x5)", 5, 1, L, Arithmetic::fp32)

#define DWCA_FP32_ROWS(L)                                                                                  \
  DWCA_DIRECT_ROWS(float, L, Arithmetic::fp32), DWCA_WINOGRAD_ROWS(L),                                     \
      row<Generic<float, L>>("generic", 0, 0, L, Arithmetic::fp32)

#define DWCA_FP16_ROWS(L)                                                                                  \
  DWCA_DIRECT_ROWS(_Float16, L, Arithmetic::fp16),                                                         \
      row<Generic<_Float16, L>>("generic", 0, 0, L, Arithmetic::fp16)

inline constexpr Kernel rows[] = {
#if defined(DWCA_SCALAR)
    DWCA_FP32_ROWS(1),
#elif defined(__AVX512F__)
    DWCA_FP32_ROWS(16),
#if !defined(DWCA_OWN_ONLY)
    DWCA_FP32_ROWS(8), DWCA_FP32_ROWS(4),
#endif
#elif defined(__AVX2__)
    DWCA_FP32_ROWS(8), DWCA_FP32_ROWS(4),
#elif defined(__aarch64__)
#if !defined(DWCA_OWN_ONLY)
    DWCA_FP32_ROWS(4),
#endif
#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
    DWCA_FP16_ROWS(8), DWCA_FP16_ROWS(4),
#endif
#else
    DWCA_FP32_ROWS(1),
#endif
};

inline Table table() { return {rows, int(sizeof rows / sizeof *rows)}; }

}  // namespace DWCA_ISA
}  // namespace dwca
