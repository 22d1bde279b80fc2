// Direct convolution, register-tiled: a tile of Rows x Width outputs stays in registers while the input columns that it
// needs pass by, each loaded once per input row and multiplied into every output that it belongs to.
#pragma once

#include "activation.h"
#include "job.h"
#include "rows.h"

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
  const T* bias;        // [L]
  Activation activation;
};

/// Computes Rows x Width outputs, from output column `column` on; without the columns that a padding of K / 2 has at the
/// left, or at the right.
template <class T, int L, int K, int S, int Rows, int Width, bool Left, bool Right, int Needed>
DWCA_INLINE void direct_tile(const Row<T, Needed, Rows>& row, int column) {
  constexpr int begin = Left ? K / 2 : 0, end = (Width - 1) * S + K - (Right ? K / 2 : 0);
  Vector<T, L> sums[Rows * Width];
  const Vector<T, L> start = load<L>(row.bias);
  unroll<Rows * Width>([&](auto i) DWCA_INLINED { sums[i] = start; });
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
  activate<T, L>(sums, row.activation);
  unroll<Rows>([&](auto r) DWCA_INLINED {
    unroll<Width>([&](auto x) DWCA_INLINED { store(row.out[r] + (std::ptrdiff_t(column) + x) * L, sums[r * Width + x]); });
  });
}

/// `count` tiles side by side. A function of its own: all widths in one would take compilers minutes.
template <class T, int L, int K, int S, int Rows, int Width, bool Left, bool Right, int Needed>
__attribute__((noinline)) void direct_tiles(const Row<T, Needed, Rows>& row, int column, int count) {
  for (; count > 0; --count, column += Width) direct_tile<T, L, K, S, Rows, Width, Left, Right>(row, column);
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

/// A tile at an end holds all outputs that the padding beside it reaches: K / 2, and K is 7 at most.
inline constexpr int least_end_width = 4;

template <int... W>
constexpr int count_end_widths(Widths<W...>) {
  return (int(W >= least_end_width) + ...);
}

/// A row with its padding.
template <class T, int L, int K, int S, int Rows, int Needed, int... W>
void direct_row(const Row<T, Needed, Rows>& row, const Cover& cover, Widths<W...>) {
  int column = 0;
  const int* count = cover.counts;
  const auto tiles = [&](auto width) {
    direct_tiles<T, L, K, S, Rows, width, false, false>(row, column, *count);
    column += *count++ * width;
  };
  (tiles(Index<W>{}), ...);
}

/// A row without: the widest tiles at the ends, the others between.
template <class T, int L, int K, int Rows, int Needed, int... W>
void direct_row_in_place(const Row<T, Needed, Rows>& row, const Cover& cover, Widths<W...>) {
  int column = 0, index = 0;
  const auto tiles = [&](auto width) {
    const int count = cover.counts[index], own = index++;
    if (own < cover.widest) return;
    if (own > cover.widest) {
      direct_tiles<T, L, K, 1, Rows, width, false, false>(row, column, count);
      column += count * width;
    } else if constexpr (width >= least_end_width) {
      if (cover.tiles == 1) return direct_tiles<T, L, K, 1, Rows, width, true, true>(row, 0, 1);
      direct_tiles<T, L, K, 1, Rows, width, true, false>(row, 0, 1);
      direct_tiles<T, L, K, 1, Rows, width, false, false>(row, width, count - 2);
      column = (count - 1) * width;
    }
  };
  const auto last = [&](auto width) {
    if constexpr (width >= least_end_width)
      if (index == cover.widest && cover.tiles > 1)
        direct_tiles<T, L, K, 1, Rows, width, false, true>(row, column, 1);
    ++index;
  };
  (tiles(Index<W>{}), ...);
  index = 0;
  (last(Index<W>{}), ...);
}

template <class T, int L, int K, int S>
struct Direct {
  static constexpr int slots = (tile_rows - 1) * S + K;

  static std::size_t weights_size(const Layer&) { return sizeof(T) * K * K * L; }

  static void prepare(const Layer&, const float* weights, int channels, void* prepared) {
    T* to = static_cast<T*>(prepared);
    for (int tap = 0; tap < K * K; ++tap)
      for (int lane = 0; lane < L; ++lane) *to++ = lane < channels ? T(weights[lane * K * K + tap]) : T(0);
  }

  static std::size_t workspace_size(const Layer& layer) {
    return sizeof(T) *
           ((slots + 1) * row_size<T, L>(padded_width(layer)) + tile_rows * row_size<T, L>(layer.out_width()));
  }

  static void run(const Job& job) {
    const Layer& layer = job.layer;
    const Transport<T> via = transport<T, L>(job.format);
    const Cover tiles = cover(layer.out_width(), TileWidths{});
    int y = job.begin;
    if constexpr (S == 1) {
      const bool same = layer.pad_left == K / 2 && layer.pad_right == K / 2;
      if (via.in_place && same && tiles.ends_widest() && tiles.widest < count_end_widths(TileWidths{}))
        y = run_in_place(job, via, tiles);
    }
    run_through_ring(job, via, tiles, y);
  }

 private:
  static_assert(K / 2 <= least_end_width);

  static Row<T, slots, tile_rows> row_of(const Job& job) {
    return {{}, {}, static_cast<const T*>(job.weights), static_cast<const T*>(job.bias), job.layer.activation};
  }

  /// Reads rows where they lie in the tensor; returns the first that is left to do.
  static int run_in_place(const Job& job, const Transport<T>& via, const Cover& tiles) {
    const Layer& layer = job.layer;
    const T* const tensor = static_cast<const T*>(job.in);
    T* const zeros = static_cast<T*>(job.workspace);
    std::fill_n(zeros, row_size<T, L>(padded_width(layer)), T(0));
    const OutputRows<T, L> output(job, via, nullptr);
    auto row = row_of(job);
    int y = job.begin;
    for (; y + tile_rows <= job.end; y += tile_rows) {
      for (int i = 0; i < slots; ++i) {
        const int source = y - layer.pad_top + i;
        const bool inside = source >= 0 && source < layer.height;
        row.in[i] = inside ? tensor + (std::ptrdiff_t(source) * layer.width - K / 2) * L : zeros;
      }
      for (int r = 0; r < tile_rows; ++r) row.out[r] = output.row(y + r, r);
      direct_row_in_place<T, L, K, tile_rows>(row, tiles, TileWidths{});
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
        direct_row<T, L, K, S, tile_rows>(row, tiles, TileWidths{});
      } else {
        Row<T, K, 1> single{{}, {row.out[0]}, row.weights, row.bias, row.activation};
        std::copy_n(row.in, K, single.in);
        direct_row<T, L, K, S, 1>(single, tiles, TileWidths{});
      }
      for (int r = 0; r < std::min(tile_rows, job.end - y); ++r) output.finish(y + r, r);
    }
  }
};

}  // namespace DWCA_ISA
}  // namespace dwca
