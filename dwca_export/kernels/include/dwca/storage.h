// Numbers as they lie in memory, and their way into and out of vectors of the type that is computed with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "vector.h"

namespace dwca {

struct Half {  // IEEE 754 binary16
  std::uint16_t bits;
};
struct Bfloat {  // the upper half of a float
  std::uint16_t bits;
};

}  // namespace dwca

namespace dwca {
namespace DWCA_ISA {

inline float from_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline std::uint32_t to_bits(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float widen(float value) { return value; }

inline float widen(Bfloat value) { return from_bits(std::uint32_t(value.bits) << 16); }

inline float widen(Half value) {
  const std::uint32_t sign = std::uint32_t(value.bits & 0x8000) << 16, rest = value.bits & 0x7fff;
  if (rest >= 0x7c00) return from_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);  // infinite, or not a number
  // Shifted into a float's fields the exponent is 112 too small; the product mends it, for subnormal numbers too.
  return from_bits(sign | to_bits(from_bits(rest << 13) * 0x1p112f));
}

inline void narrow(float value, float* to) { *to = value; }

/// To the nearest, ties to even; a NaN stays one.
inline void narrow(float value, Bfloat* to) {
  const std::uint32_t bits = to_bits(value);
  const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  to->bits = std::uint16_t((is_nan ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// To the nearest, ties to even; a NaN stays one.
inline void narrow(float value, Half* to) {
  const std::uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  std::uint32_t half;
  if (rest > 0x7f800000) {
    half = 0x7e00;
  } else if (rest >= 0x477ff000) {  // 65520 and above: the nearest is infinite
    half = 0x7c00;
  } else if (rest < 0x38800000) {  // subnormal: adding 0.5 leaves the bits that a half has, rounded, in the lowest places
    half = to_bits(from_bits(rest) + 0.5f) - to_bits(0.5f);
  } else {
    half = (rest - (112u << 23) + 0xfff + (rest >> 13 & 1)) >> 13;
  }
  to->bits = std::uint16_t(sign | half);
}

#if defined(__AVX512F__)
/// A mask that masks nothing: without one GCC 12's conversions warn of a register of their own that is not initialised.
inline constexpr __mmask16 all_lanes = 0xffff;
#endif

/// L stored numbers as a vector of the type that is computed with.
template <class T, int L, class Stored>
DWCA_INLINE Vector<T, L> load_as(const Stored* from) {
  if constexpr (sizeof(T) == sizeof(Stored) && !std::is_same_v<Stored, Bfloat>) {
    return load<L>(reinterpret_cast<const T*>(from));
#if defined(__aarch64__)
  } else if constexpr (std::is_same_v<Stored, Bfloat> && L == 4) {
    return (Vector<T, L>)vshll_n_u16(vld1_u16(&from->bits), 16);
#endif
  } else if constexpr (std::is_same_v<Stored, Bfloat> && L > 1) {
    const Vector<std::uint16_t, L> bits = load<L>(&from->bits);
    return (Vector<T, L>)(__builtin_convertvector(bits, Vector<std::uint32_t, L>) << 16);
#if defined(__AVX512F__)
  } else if constexpr (L == 16) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return (Vector<T, L>)_mm512_maskz_cvtph_ps(all_lanes, halves);
#endif
#if defined(__F16C__)
  } else if constexpr (L == 8) {
    return (Vector<T, L>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  } else if constexpr (L == 4) {
    return (Vector<T, L>)_mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#elif defined(__aarch64__)
  } else if constexpr (L == 4) {
    return (Vector<T, L>)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&from->bits)));
#endif
  } else {
    T values[L];
    for (int lane = 0; lane < L; ++lane) values[lane] = T(widen(from[lane]));
    return load<L>(values);
  }
}

template <class T, int L, class Stored>
DWCA_INLINE void store_as(Stored* to, Vector<T, L> value) {
  if constexpr (sizeof(T) == sizeof(Stored) && !std::is_same_v<Stored, Bfloat>) {
    store(reinterpret_cast<T*>(to), value);
  } else if constexpr (std::is_same_v<Stored, Bfloat> && L > 1) {
    const auto bits = (Vector<std::uint32_t, L>)value;
    const auto nearest = bits + 0x7fff + (bits >> 16 & 1);
    const auto kept = value != value ? bits | 0x400000 : nearest;
    store(&to->bits, __builtin_convertvector(kept >> 16, Vector<std::uint16_t, L>));
#if defined(__AVX512F__)
  } else if constexpr (std::is_same_v<Stored, Half> && L == 16) {
    const __m256i halves = _mm512_maskz_cvtps_ph(all_lanes, (__m512)value, _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), halves);
#endif
#if defined(__F16C__)
  } else if constexpr (std::is_same_v<Stored, Half> && L == 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT));
  } else if constexpr (std::is_same_v<Stored, Half> && L == 4) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_cvtps_ph((__m128)value, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__aarch64__)
  } else if constexpr (std::is_same_v<Stored, Half> && L == 4) {
    vst1_u16(&to->bits, vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)value)));
#endif
  } else {
    T values[L];
    store(values, value);
    for (int lane = 0; lane < L; ++lane) narrow(float(values[lane]), to + lane);
  }
}

}  // namespace DWCA_ISA
}  // namespace dwca
