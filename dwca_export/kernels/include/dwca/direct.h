// Direct convolution, register-tiled: a tile of Rows x Width outputs stays in registers while the input columns that it
// needs pass by, each loaded once per input row and multiplied into every output that it belongs to.
#pragma once

#include "activation.h"
#include "job.h"
#include "rows.h"
#include "taps.h"

namespace dwca {
namespace DWCA_ISA {

// GCC moves the loads of all rows to the front and then has no registers left for the sums.
#if defined(__GNUC__) && !defined(__clang__)
#define DWCA_KEEP_ORDER asm volatile("" ::: "memory")
#else
#define DWCA_KEEP_ORDER
#endif

/// Widths of tiles, the widest first, and their rows. What counts is the number of registers: sums, two rows of weights, an
/// input.
template <int... W>
using Widths = std::integer_sequence<int, W...>;
#if !defined(DWCA_SCALAR) && (defined(__AVX512F__) || defined(__aarch64__))  // 32 registers
using TileWidths = Widths<8, 7, 4, 2, 1>;
inline constexpr int tile_rows = 2;
#elif !defined(DWCA_SCALAR) && defined(__AVX2__)  // 16
using TileWidths = Widths<8, 7, 4, 2, 1>;
inline constexpr int tile_rows = 1;
#else
using TileWidths = Widths<4, 2, 1>;
inline constexpr int tile_rows = 1;
#endif

/// What the tiles of a row have in common.
template <class T, int Needed, int Rows>
struct Row {
  const T* in[Needed];  // input rows of [column][L], from the first padded column on
  T* out[Rows];         // output rows of [column][L]
  const T* weights;     // [K * K][L]
  const T* bias;        // [L], or null
  Activation activation;
};

/// Computes Rows x Width outputs, from output column `column` on; without the columns that a padding of K / 2 has at the
/// left, or at the right.
template <class T, int L, int K, int S, int Rows, int Width, bool Left, bool Right, int Needed>
DWCA_INLINE void direct_tile(const Row<T, Needed, Rows>& row, int column) {
  constexpr int begin = Left ? K / 2 : 0, end = (Width - 1) * S + K - (Right ? K / 2 : 0);
  Vector<T, L> sums[Rows * Width] = {};
  DWCA_UNROLL
  for (int i = 0; i < Needed; ++i) {
    DWCA_KEEP_ORDER;
    const T* in = row.in[i] + std::ptrdiff_t(column) * S * L;
    DWCA_UNROLL
    for (int j = begin; j < end; ++j) {
      const Vector<T, L> value = load<L>(in + j * L);
      DWCA_UNROLL
      for (int r = 0; r < Rows; ++r) {
        DWCA_UNROLL
        for (int x = 0; x < Width; ++x) {
          const int ki = i - r * S, kj = j - x * S;
          if (ki >= 0 && ki < K && kj >= 0 && kj < K)
            sums[r * Width + x] += load<L>(row.weights + (ki * K + kj) * L) * value;
        }
      }
    }
  }
  if (row.bias) {
    const Vector<T, L> bias = load<L>(row.bias);
    unroll<Rows * Width>([&](auto i) DWCA_INLINED { sums[i] += bias; });
  }
  activate<T, L>(sums, row.activation);
  unroll<Rows>([&](auto r) DWCA_INLINED {
    unroll<Width>([&](auto x) DWCA_INLINED { store(row.out[r] + (std::ptrdiff_t(column) + x) * L, sums[r * Width + x]); });
  });
}

/// `count` tiles side by side. A function of its own: all widths in one would take compilers minutes.
template <class T, int L, int K, int S, int Rows, int Width, int Needed>
__attribute__((noinline)) void direct_tiles(const Row<T, Needed, Rows>& given, int column, int count) {
  const Row<T, Needed, Rows> row = given;  // of which the compiler knows that no store changes it
  for (; count > 0; --count, column += Width) direct_tile<T, L, K, S, Rows, Width, false, false>(row, column);
}

/// How many tiles of each width make up a row.
struct Cover {
  static constexpr int most = 8;
  int counts[most] = {};
  int tiles = 0;
  int widest = 0;  // index of the widest width in use

  /// Whether the tiles at both ends can be of the widest width.
  bool ends_widest() const { return tiles == 1 || counts[widest] >= 2; }
};

/// The cover with the fewest tiles among those that begin with one width, as often as it fits, and go on with narrower ones.
template <int... W>
Cover cover(int width, Widths<W...>) {
  static_assert(sizeof...(W) <= Cover::most);
  constexpr int widths[] = {W...}, size = sizeof...(W);
  Cover best;
  for (int first = 0; first < size; ++first) {
    Cover next;
    next.widest = first;
    int left = width;
    for (int i = first; i < size; ++i) {
      next.tiles += next.counts[i] = left / widths[i];
      left %= widths[i];
    }
    if (next.counts[first] > 0 && (best.tiles == 0 || next.tiles < best.tiles)) best = next;
  }
  return best;
}

/// A tile at an end holds all outputs that the padding beside it reaches: K / 2.
inline constexpr int least_end_width = 4;

template <int... W>
constexpr int count_end_widths(Widths<W...>) {
  return (int(W >= least_end_width) + ...);
}

/// Output columns from `column` on, by tiles of the widths from index `first` on.
template <class T, int L, int K, int S, int Rows, int Needed, int... W>
void direct_row(const Row<T, Needed, Rows>& row, const Cover& cover, int first, int column, Widths<W...>) {
  int index = 0;
  const auto tiles = [&](auto width) {
    const int count = index >= first ? cover.counts[index] : 0;
    if (count > 0) direct_tiles<T, L, K, S, Rows, width>(row, column, count);
    column += count * width;
    ++index;
  };
  (tiles(Index<W>{}), ...);
}

template <class T, int L, int K, int S>
struct Direct : Taps<T, L> {
  static constexpr int slots = (tile_rows - 1) * S + K;

  static std::size_t workspace_size(const Layer& layer) {
    return sizeof(T) *
           ((slots + 1) * row_size<T, L>(padded_width(layer)) + tile_rows * row_size<T, L>(layer.out_width()));
  }

  static void run(const Job& job) {
    const Transport<T> via = transport<T, L>(job.format);
    const Cover tiles = cover(job.layer.out_width(), TileWidths{});
    int y = job.begin;
    if constexpr (S == 1 && K <= 5)  // larger ones gain little: most of the time they multiply
      if (via.in_place && can_be_in_place(job.layer, tiles)) y = run_in_place(job, tiles, TileWidths{});
    run_through_ring(job, via, tiles, y);
  }

 private:
  static_assert(K / 2 <= least_end_width);

  static bool can_be_in_place(const Layer& layer, const Cover& tiles) {
    return layer.pad_left == K / 2 && layer.pad_right == K / 2 && tiles.ends_widest() &&
           tiles.widest < count_end_widths(TileWidths{});
  }

  static Row<T, slots, tile_rows> row_of(const Job& job) {
    return {{}, {}, static_cast<const T*>(job.weights), static_cast<const T*>(job.bias), job.layer.activation};
  }

  template <int... W>
  static int run_in_place(const Job& job, const Cover& tiles, Widths<W...>) {
    int next = job.begin, index = 0;
    const auto rows = [&](auto width) {
      if constexpr (width >= least_end_width)
        if (index == tiles.widest) next = run_in_place<width>(job, tiles);
      ++index;
    };
    (rows(Index<W>{}), ...);
    return next;
  }

  /// Reads rows where they lie in the tensor, with the widest tiles at the ends and the others between; returns the first
  /// row that is left to do.
  template <int Width>
  __attribute__((noinline)) static int run_in_place(const Job& job, const Cover& tiles) {
    const Layer& layer = job.layer;
    const int width = layer.width, height = layer.height, end = job.end;
    const int middle = Width * (tiles.counts[tiles.widest] - 1), narrower = tiles.widest + 1;
    const bool mixed = middle + Width < width;
    const T* const tensor = static_cast<const T*>(job.in) - K / 2 * L;
    T* const output = static_cast<T*>(job.out);
    T* const zeros = static_cast<T*>(job.workspace);
    std::fill_n(zeros, row_size<T, L>(padded_width(layer)), T(0));
    auto row = row_of(job);
    int y = job.begin;
    for (; y + tile_rows <= end; y += tile_rows) {
      const int top = y - layer.pad_top;
      for (int i = 0; i < slots; ++i)
        row.in[i] = top + i >= 0 && top + i < height ? tensor + std::ptrdiff_t(top + i) * width * L : zeros;
      for (int r = 0; r < tile_rows; ++r) row.out[r] = output + std::ptrdiff_t(y + r) * width * L;
      if (tiles.tiles == 1) {
        direct_tile<T, L, K, S, tile_rows, Width, true, true>(row, 0);
        continue;
      }
      direct_tile<T, L, K, S, tile_rows, Width, true, false>(row, 0);
      for (int column = Width; column < middle; column += Width)
        direct_tile<T, L, K, S, tile_rows, Width, false, false>(row, column);
      if (mixed) {
        const auto copy = row;  // so that the compiler knows that nobody else changes `row`
        direct_row<T, L, K, S, tile_rows>(copy, tiles, narrower, middle, TileWidths{});
      }
      direct_tile<T, L, K, S, tile_rows, Width, false, true>(row, width - Width);
    }
    return y;
  }

  /// From row `y` on.
  static void run_through_ring(const Job& job, const Transport<T>& via, const Cover& tiles, int y) {
    if (y == job.end) return;
    const Layer& layer = job.layer;
    const std::size_t size = row_size<T, L>(padded_width(layer));
    T* const memory = static_cast<T*>(job.workspace);
    for (int i = 0; i < slots; ++i) clear_padding<T, L>(memory + i * size, layer, size);
    RowRing<T> ring(memory, slots, size, layer.height);
    const OutputRows<T, L> output(job, via, memory + (slots + 1) * size);
    for (; y < job.end; y += tile_rows) {
      auto row = row_of(job);
      for (int i = 0; i < slots; ++i) {
        const int source = y * S - layer.pad_top + i;
        row.in[i] = ring.row(source, [&](T* to) { via.load(job, source, to + std::ptrdiff_t(layer.pad_left) * L); });
      }
      for (int r = 0; r < tile_rows; ++r) row.out[r] = output.row(y + r, r);
      if (job.end - y >= tile_rows) {
        direct_row<T, L, K, S, tile_rows>(row, tiles, 0, 0, TileWidths{});
      } else {
        Row<T, K, 1> single{{}, {row.out[0]}, row.weights, row.bias, row.activation};
        std::copy_n(row.in, K, single.in);
        direct_row<T, L, K, S, 1>(single, tiles, 0, 0, TileWidths{});
      }
      for (int r = 0; r < std::min(tile_rows, job.end - y); ++r) output.finish(y + r, r);
    }
  }
};

}  // namespace DWCA_ISA
}  // namespace dwca
