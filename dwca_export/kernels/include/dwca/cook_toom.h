// The matrices of Winograd's minimal filtering F(m, r), by the Cook-Toom construction: m outputs of a filter with r taps
// from n = m + r - 1 products,
//
//     y = AT ((G g) * (BT d))         d: n inputs, g: r taps, y: m outputs, *: element by element
//
// from n - 1 finite points p and infinity. AT[i][j] = p_j^i, G[j][k] = p_j^k / N_j with N_j = prod over l != j of
// (p_j - p_l), BT's row j has the coefficients of prod over l != j of (x - p_l); infinity's row in BT has those of the
// product over all points, and AT and G have a single 1 for it.
//
// Source: A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks (2016), and B. Barabasz et al., Error
// Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks (2020), for the choice of points.
#pragma once

namespace dwca {

/// 0 first, then pairs p and -p: the transforms below count on it.
inline constexpr double cook_toom_points[] = {0, 1, -1, 2, -2, 0.5, -0.5, 0.75, -0.75};

template <int M, int R>
struct CookToom {
  static constexpr int size = M + R - 1;
  static_assert(size % 2 == 0 && size <= 10, "points come in pairs");
  double at[M][size] = {}, g[size][R] = {}, bt[size][size] = {};

  constexpr CookToom() {
    constexpr int finite = size - 1;
    const double* p = cook_toom_points;
    for (int j = 0; j < finite; ++j) {
      double scale = 1, power = 1;
      for (int l = 0; l < finite; ++l)
        if (l != j) scale *= p[j] - p[l];
      for (int i = 0; i < M || i < R; ++i, power *= p[j]) {
        if (i < M) at[i][j] = power;
        if (i < R) g[j][i] = power / scale;
      }
    }
    at[M - 1][finite] = g[finite][R - 1] = 1;
    for (int j = 0; j < size; ++j) {
      bt[j][0] = 1;  // times (x - p_l) for each point but the row's own
      for (int l = 0, degree = 0; l < finite; ++l) {
        if (l == j) continue;
        ++degree;
        for (int k = degree; k >= 0; --k) bt[j][k] = (k > 0 ? bt[j][k - 1] : 0) - (k < degree ? p[l] * bt[j][k] : 0);
      }
    }
  }
};

template <int M, int R>
inline constexpr CookToom<M, R> cook_toom{};

}  // namespace dwca
