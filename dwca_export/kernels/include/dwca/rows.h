// The way of rows between tensors and kernels. Kernels see rows of [column][L] in the type that they compute with, with
// the padding around; a tensor may be packed or planar, in fp32, fp16 or bf16, and is read and written nowhere else.
#pragma once

#include <algorithm>
#include <type_traits>

#include "job.h"
#include "storage.h"
#include "transpose.h"
#include "vector.h"

namespace dwca {
namespace DWCA_ISA {

/// Numbers from one pixel to the next, as a constant where a vector holds all of a pixel's.
template <int L, class Body>
DWCA_INLINE void with_step(int elempack, Body&& body) {
  if (elempack == L) body(Index<L>{});
  else body(elempack);
}

template <class T, int L, class Stored>
void load_packed(const Job& job, int y, T* row) {
  const int width = job.layer.width;
  with_step<L>(job.format.elempack, [&](auto step) DWCA_INLINED {
    const Stored* from = static_cast<const Stored*>(job.in) + std::ptrdiff_t(y) * width * step;
    DWCA_UNROLL_FOUR
    for (int x = 0; x < width; ++x) store(row + std::ptrdiff_t(x) * L, load_as<T, L>(from + std::ptrdiff_t(x) * step));
  });
}

template <class T, int L, class Stored>
void store_packed(const Job& job, int y, const T* row) {
  const int width = job.layer.out_width();
  with_step<L>(job.format.elempack, [&](auto step) DWCA_INLINED {
    Stored* to = static_cast<Stored*>(job.out) + std::ptrdiff_t(y) * width * step;
    DWCA_UNROLL_FOUR
    for (int x = 0; x < width; ++x) store_as<T, L>(to + std::ptrdiff_t(x) * step, load<L>(row + std::ptrdiff_t(x) * L));
  });
}

template <class T, int L, class Stored>
void load_planar(const Job& job, int y, T* row) {
  const int width = job.layer.width;
  const Stored* from = static_cast<const Stored*>(job.in) + std::ptrdiff_t(y) * width;
  int x = 0;
  if (job.channels == L) {
    for (; x + L <= width; x += L) {
      Vector<T, L> block[L];
      for (int lane = 0; lane < L; ++lane) block[lane] = load_as<T, L>(from + lane * job.in_plane + x);
      transpose<T, L>(block);
      for (int column = 0; column < L; ++column) store(row + std::ptrdiff_t(x + column) * L, block[column]);
    }
  }
  for (; x < width; ++x)
    for (int lane = 0; lane < L; ++lane)
      row[std::ptrdiff_t(x) * L + lane] = lane < job.channels ? load_as<T, 1>(from + lane * job.in_plane + x) : T(0);
}

template <class T, int L, class Stored>
void store_planar(const Job& job, int y, const T* row) {
  const int width = job.layer.out_width();
  Stored* to = static_cast<Stored*>(job.out) + std::ptrdiff_t(y) * width;
  int x = 0;
  if (job.channels == L) {
    for (; x + L <= width; x += L) {
      Vector<T, L> block[L];
      for (int column = 0; column < L; ++column) block[column] = load<L>(row + std::ptrdiff_t(x + column) * L);
      transpose<T, L>(block);
      for (int lane = 0; lane < L; ++lane) store_as<T, L>(to + lane * job.out_plane + x, block[lane]);
    }
  }
  for (; x < width; ++x)
    for (int lane = 0; lane < job.channels; ++lane)
      store_as<T, 1>(to + lane * job.out_plane + x, row[std::ptrdiff_t(x) * L + lane]);
}

/// How the rows of one tensor get to a kernel and back.
template <class T>
struct Transport {
  void (*load)(const Job&, int y, T* row);
  void (*store)(const Job&, int y, const T* row);
  bool in_place;  // an output row lies in the tensor just as a kernel writes it
};

template <class T, int L, class Stored>
Transport<T> transport_of(int elempack) {
  constexpr bool same = sizeof(T) == sizeof(Stored) && !std::is_same_v<Stored, Bfloat>;
  if constexpr (L > 1)
    if (elempack == 1) return {load_planar<T, L, Stored>, store_planar<T, L, Stored>, false};
  return {load_packed<T, L, Stored>, store_packed<T, L, Stored>, same && elempack == L};
}

template <class T, int L>
Transport<T> transport(const Format& format) {
  switch (format.storage) {
    case Storage::fp16:
      return transport_of<T, L, Half>(format.elempack);
    case Storage::bf16:
      if constexpr (std::is_same_v<T, float>) return transport_of<T, L, Bfloat>(format.elempack);
      [[fallthrough]];
    case Storage::fp32:
      if constexpr (std::is_same_v<T, float>) return transport_of<T, L, float>(format.elempack);
  }
  return {};
}

/// Columns of a padded row.
inline int padded_width(const Layer& layer) { return layer.width + layer.pad_left + layer.pad_right; }

/// Numbers that a row of so many columns takes, rounded up so that all rows begin at a cache line.
template <class T, int L>
std::size_t row_size(int columns) {
  constexpr std::size_t line = 64 / sizeof(T);
  return (std::size_t(columns) * L + line - 1) / line * line;
}

/// The last `count` of rows that are made from the input's, each made once and in order.
template <class T>
class RowRing {
 public:
  /// `memory` holds (count + 1) * size numbers.
  RowRing(T* memory, int count, std::size_t size, int height)
      : slots_(memory), zeros_(memory + count * size), count_(count), size_(size), height_(height) {
    std::fill_n(zeros_, size, T(0));
  }

  /// Row y, made by make(slot) if it is new; zeros for one above or below the input.
  template <class Make>
  const T* row(int y, Make&& make) {
    if (y < 0 || y >= height_) return zeros_;
    T* slot = slots_ + std::size_t(y % count_) * size_;
    if (y >= next_) {
      make(slot);
      next_ = y + 1;
    }
    return slot;
  }

 private:
  T* slots_;
  T* zeros_;
  int count_;
  std::size_t size_;
  int height_;
  int next_ = 0;
};

/// Clears the columns left and right of the input, which loading a row leaves alone.
template <class T, int L>
void clear_padding(T* row, const Layer& layer, std::size_t size) {
  const std::size_t left = std::size_t(layer.pad_left) * L, filled = left + std::size_t(layer.width) * L;
  std::fill(row, row + left, T(0));
  std::fill(row + filled, row + size, T(0));
}

/// Output rows: in the tensor itself where they lie there as a kernel writes them, else in the workspace on their way.
template <class T, int L>
class OutputRows {
 public:
  /// `memory` holds `rows` * row_size(out_width) numbers.
  OutputRows(const Job& job, const Transport<T>& transport, T* memory)
      : job_(job), transport_(transport), memory_(memory), size_(row_size<T, L>(job.layer.out_width())) {}

  /// Where to write output row y, the index-th of those that are written together.
  T* row(int y, int index) const {
    if (!transport_.in_place) return memory_ + index * size_;
    return static_cast<T*>(job_.out) + std::ptrdiff_t(y) * job_.layer.out_width() * L;
  }

  /// Row y is complete.
  void finish(int y, int index) const {
    if (!transport_.in_place) transport_.store(job_, y, memory_ + index * size_);
  }

 private:
  const Job& job_;
  const Transport<T>& transport_;
  T* memory_;
  std::size_t size_;
};

}  // namespace DWCA_ISA
}  // namespace dwca
