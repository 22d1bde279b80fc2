// Winograd's minimal filtering, for stride 1. Each input row is transformed once, tile by tile, and the transformed rows
// are kept in a ring:
//
//     1-D  F(M, K)          transformed rows are multiplied by the transformed kernel rows and summed
//     2-D  F(M x M, K x K)  columns of transformed rows go through F(M, K) once more
//
// Both end with the output transform along the row. Matrices: cook_toom.h.
#pragma once

#include "activation.h"
#include "cook_toom.h"
#include "job.h"
#include "rows.h"

namespace dwca {
namespace DWCA_ISA {

/// Row `J` of BT; rows of a pair of points, p and -p, have one part in common and one but for the sign, which is left
/// without the factor p.
template <int M, int K, int J>
struct Same {
  static constexpr double at(int k) {
    constexpr bool single = J == 0 || J == M + K - 2;
    constexpr int pair = single ? J : J % 2 ? J + 1 : J - 1;
    const double own = cook_toom<M, K>.bt[J][k];
    return own == cook_toom<M, K>.bt[pair][k] ? own : 0;
  }
};
template <int M, int K, int J>
struct Opposite {
  static constexpr double at(int k) {
    return (cook_toom<M, K>.bt[J][k] - Same<M, K, J>::at(k)) / cook_toom_points[J];
  }
};
/// Row I of AT, without infinity's column.
template <int M, int K, int I>
struct OutputRow {
  static constexpr double at(int pair) { return cook_toom<M, K>.at[I][2 * pair + 1]; }
};

/// The sum of Factors::at(i) * values[i], with nothing to multiply for 1 and -1 and nothing at all for 0.
template <class Factors, class V, int Count>
DWCA_INLINE V combine(const V (&values)[Count]) {
  V sum{};
  bool empty = true;
  unroll<Count>([&](auto i) DWCA_INLINED {
    constexpr double factor = Factors::at(i);
    if constexpr (factor != 0) {
      const V term = factor == 1 ? values[i] : factor == -1 ? -values[i] : values[i] * float(factor);
      sum = empty ? term : sum + term;
      empty = false;
    }
  });
  return sum;
}

/// BT d
template <int M, int K, class V>
DWCA_INLINE void transform_input(const V (&d)[M + K - 1], V (&out)[M + K - 1]) {
  constexpr int last = M + K - 2;
  out[0] = combine<Same<M, K, 0>>(d);
  out[last] = combine<Same<M, K, last>>(d);
  unroll<last / 2>([&](auto pair) DWCA_INLINED {
    constexpr int plus = 2 * pair + 1;
    const V same = combine<Same<M, K, plus>>(d), opposite = combine<Opposite<M, K, plus>>(d) * float(cook_toom_points[plus]);
    out[plus] = same + opposite;
    out[plus + 1] = same - opposite;
  });
}

/// AT m. Even powers of p and -p are equal, odd ones opposite.
template <int M, int K, class V>
DWCA_INLINE void transform_output(const V (&m)[M + K - 1], V (&out)[M]) {
  constexpr int last = M + K - 2, pairs = last / 2;
  V sums[pairs], differences[pairs];
  unroll<pairs>([&](auto pair) DWCA_INLINED {
    sums[pair] = m[2 * pair + 1] + m[2 * pair + 2];
    differences[pair] = m[2 * pair + 1] - m[2 * pair + 2];
  });
  unroll<M>([&](auto i) DWCA_INLINED {
    out[i] = combine<OutputRow<M, K, i>>(i % 2 ? differences : sums);
    if constexpr (i == 0) out[i] += m[0];
    if constexpr (i == M - 1) out[i] += m[last];
  });
}

/// Transforms a row of [column][L] with its padding into [tile][n][L].
///
/// Args:
///   row: From the first padded column on; [begin, end): the columns that can be read. All others are zero.
template <int L, int M, int K>
void transform_row(const float* row, int begin, int end, int tiles, float* to) {
  constexpr int n = M + K - 1;
  for (int tile = 0; tile < tiles; ++tile) {
    const int column = tile * M;
    const float* from = row + std::ptrdiff_t(column) * L;
    Vector<float, L> d[n], out[n];
    if (column >= begin && column + n <= end) {
      unroll<n>([&](auto i) DWCA_INLINED { d[i] = load<L>(from + i * L); });
    } else {
      unroll<n>([&](auto i) DWCA_INLINED {
        d[i] = column + i >= begin && column + i < end ? load<L>(from + i * L) : Vector<float, L>{};
      });
    }
    transform_input<M, K>(d, out);
    unroll<n>([&](auto j) DWCA_INLINED { store(to + (std::ptrdiff_t(tile) * n + j) * L, out[j]); });
  }
}

/// Down the columns by multiplying and adding: K transformed rows to one.
template <int L, int M, int K>
struct Summed {
  static constexpr int taps = K, rows_at_once = 4;
  static constexpr bool is_short = true;  // its code: worth unrolling

  /// One column's taps as the band needs them.
  static void prepare(const double (&column)[K], double (&out)[taps]) {
    for (int i = 0; i < K; ++i) out[i] = column[i];
  }

  template <int Tiles>
  static DWCA_INLINE void filter(const float* const* rows, std::ptrdiff_t at, const float* weights,
                                 Vector<float, L> (&sums)[rows_at_once][Tiles]) {
    unroll<rows_at_once + K - 1>([&](auto i) DWCA_INLINED {
      unroll<Tiles>([&](auto tile) DWCA_INLINED {
        const Vector<float, L> value = load<L>(rows[i] + at + tile * (M + K - 1) * L);
        unroll<rows_at_once>([&](auto r) DWCA_INLINED {
          constexpr int tap = i - r;
          if constexpr (tap == 0) sums[r][tile] = load<L>(weights) * value;
          else if constexpr (tap > 0 && tap < K) sums[r][tile] += load<L>(weights + tap * L) * value;
        });
      });
    });
  }
};

/// Down the columns by F(M, K): M + K - 1 transformed rows to M.
template <int L, int M, int K>
struct Filtered {
  static constexpr int taps = M + K - 1, rows_at_once = M;
  static constexpr bool is_short = false;

  static void prepare(const double (&column)[K], double (&out)[taps]) {
    for (int j = 0; j < taps; ++j) {
      out[j] = 0;
      for (int i = 0; i < K; ++i) out[j] += cook_toom<M, K>.g[j][i] * column[i];
    }
  }

  template <int Tiles>
  static DWCA_INLINE void filter(const float* const* rows, std::ptrdiff_t at, const float* weights,
                                 Vector<float, L> (&sums)[rows_at_once][Tiles]) {
    unroll<Tiles>([&](auto tile) DWCA_INLINED {
      Vector<float, L> d[taps], products[taps], out[M];
      unroll<taps>([&](auto i) DWCA_INLINED { d[i] = load<L>(rows[i] + at + tile * (M + K - 1) * L); });
      transform_input<M, K>(d, products);
      unroll<taps>([&](auto i) DWCA_INLINED { products[i] *= load<L>(weights + i * L); });
      transform_output<M, K>(products, out);
      unroll<M>([&](auto r) DWCA_INLINED { sums[r][tile] = out[r]; });
    });
  }
};

template <int L, int M, int K, template <int, int, int> class Columns>
struct Winograd {
  using Column = Columns<L, M, K>;
  static constexpr int n = M + K - 1, rows = Column::rows_at_once, slots = rows + K - 1;

  static int tiles(const Layer& layer) { return (layer.out_width() + M - 1) / M; }
  static std::size_t row_numbers(const Layer& layer) { return row_size<float, L>(n * tiles(layer)); }

  static std::size_t weights_size(const Layer&) { return sizeof(float) * n * Column::taps * L; }

  /// To [n][taps][L]
  static void prepare(const Layer&, const float* weights, int channels, void* prepared) {
    float* to = static_cast<float*>(prepared);
    for (int lane = 0; lane < L; ++lane)
      for (int j = 0; j < n; ++j) {
        double column[K] = {}, out[Column::taps];
        for (int i = 0; i < K; ++i)
          for (int k = 0; k < K && lane < channels; ++k)
            column[i] += cook_toom<M, K>.g[j][k] * weights[(lane * K + i) * K + k];
        Column::prepare(column, out);
        for (int tap = 0; tap < Column::taps; ++tap) to[(j * Column::taps + tap) * L + lane] = float(out[tap]);
      }
  }

  static std::size_t workspace_size(const Layer& layer) {
    return sizeof(float) * ((slots + 1) * row_numbers(layer) + row_size<float, L>(layer.width) +
                            rows * row_size<float, L>(layer.out_width()));
  }

  /// Tiles [tile, tile + Tiles) of the rows [y, y + count).
  template <int Tiles>
  static void compute(const Job& job, const float* const* input, float* const* out, int tile, int count) {
    const Layer& layer = job.layer;
    Vector<float, L> products[rows][Tiles][n];
    const auto filter = [&](int j) DWCA_INLINED {
      Vector<float, L> sums[rows][Tiles];
      const float* weights = static_cast<const float*>(job.weights) + j * Column::taps * L;
      Column::template filter<Tiles>(input, (std::ptrdiff_t(tile) * n + j) * L, weights, sums);
      unroll<rows>([&](auto r) DWCA_INLINED {
        unroll<Tiles>([&](auto t) DWCA_INLINED { products[r][t][j] = sums[r][t]; });
      });
    };
    if constexpr (Column::is_short) {
      unroll<n>(filter);
    } else {
      for (int j = 0; j < n; ++j) filter(j);
    }
    const float* const bias = static_cast<const float*>(job.bias);
    for (int r = 0; r < count; ++r)
      for (int t = 0; t < Tiles; ++t) {
        Vector<float, L> y[M];
        transform_output<M, K>(products[r][t], y);
        if (bias) unroll<M>([&](auto i) DWCA_INLINED { y[i] += load<L>(bias); });
        activate<float, L>(y, layer.activation);
        const int column = (tile + t) * M, left = layer.out_width() - column;
        float* to = out[r] + std::ptrdiff_t(column) * L;
        if (left >= M) {
          unroll<M>([&](auto i) DWCA_INLINED { store(to + i * L, y[i]); });
        } else {
          unroll<M>([&](auto i) DWCA_INLINED { if (i < left) store(to + i * L, y[i]); });
        }
      }
  }

  static void run(const Job& job) {
    const Layer& layer = job.layer;
    const Transport<float> via = transport<float, L>(job.format);
    const int all_tiles = tiles(layer);
    float* const memory = static_cast<float*>(job.workspace);
    float* const raw = memory + (slots + 1) * row_numbers(layer);
    RowRing<float> input(memory, slots, row_numbers(layer), layer.height);
    const OutputRows<float, L> output(job, via, raw + row_size<float, L>(layer.width));
    const auto transformed = [&](int y) {
      return input.row(y, [&](float* slot) {
        const float* row = raw;
        if (via.in_place) row = static_cast<const float*>(job.in) + std::ptrdiff_t(y) * layer.width * L;
        else via.load(job, y, raw);
        transform_row<L, M, K>(row - std::ptrdiff_t(layer.pad_left) * L, layer.pad_left, layer.pad_left + layer.width,
                               all_tiles, slot);
      });
    };
    for (int y = job.begin; y < job.end; y += rows) {
      const int top = y - layer.pad_top, count = std::min(rows, job.end - y);
      const float* in[slots];
      float* out[rows];
      for (int i = 0; i < slots; ++i) in[i] = transformed(top + i);
      for (int r = 0; r < count; ++r) out[r] = output.row(y + r, r);
      int tile = 0;
      for (; tile + 2 <= all_tiles; tile += 2) compute<2>(job, in, out, tile, count);
      for (; tile < all_tiles; ++tile) compute<1>(job, in, out, tile, count);
      for (int r = 0; r < count; ++r) output.finish(y + r, r);
    }
  }
};

}  // namespace DWCA_ISA
}  // namespace dwca
