"""The matrices of Winograd's transforms: what they compute, in exact fractions, and those of another construction."""

from __future__ import annotations

import json
import random
import re
from fractions import Fraction
from typing import Any

import pytest
from cpp_programs import build, run

from dwca_export.kernels.bounds import WINOGRAD_EPSILONS

# F(m, r) or F(m x m, r x r), as the kernels' names have it.
SIZES = sorted({tuple(map(int, re.findall(r"(\d+)(?:x\d+)?[,)]", name))) for name in WINOGRAD_EPSILONS})

PROGRAM = r"""
#include <cstdio>
#include <dwca/cook_toom.h>

template <int Rows, int Columns>
void print(const char* name, const double (&matrix)[Rows][Columns]) {
  std::printf("\"%s\": [", name);
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j)
      std::printf("%s%.17g%s", j ? ", " : i ? ", [" : "[", matrix[i][j], j == Columns - 1 ? "]" : "");
  std::printf("]");
}

template <int M, int R>
void print(bool last) {
  constexpr auto& matrices = dwca::cook_toom<M, R>;
  std::printf("\"%d %d\": {", M, R);
  print("at", matrices.at);
  std::printf(", ");
  print("g", matrices.g);
  std::printf(", ");
  print("bt", matrices.bt);
  std::printf(last ? "}" : "}, ");
}

int main() {
  std::printf("{\"points\": [");
  for (double point : dwca::cook_toom_points) std::printf("%s%.17g", point == 0 ? "" : ", ", point);
  std::printf("], ");
  PRINT
  std::printf("}");
}
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("cook_toom")
    calls = [f"print<{m}, {r}>({'true' if (m, r) == SIZES[-1] else 'false'});" for m, r in SIZES]
    (folder / "print.cc").write_text(PROGRAM.replace("PRINT", "\n  ".join(calls)))
    return json.loads(run(build(folder / "print.cc", folder / "print")).stdout)


def fractions(matrix: list[list[float]]) -> list[list[Fraction]]:
    """The fractions that these doubles are, or are next to: a third and its like."""
    exact = [[Fraction(value).limit_denominator(10**8) for value in row] for row in matrix]
    assert [[float(value) for value in row] for row in exact] == matrix
    return exact


def times(matrix: list[list[Fraction]], vector: list[Fraction]) -> list[Fraction]:
    return [sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


def filtered(matrices: dict[str, list[list[Fraction]]], d: list[Fraction], g: list[Fraction]) -> list[Fraction]:
    """AT ((G g) * (BT d))"""
    products = [a * b for a, b in zip(times(matrices["g"], g), times(matrices["bt"], d), strict=True)]
    return times(matrices["at"], products)


def correlated(d: list[Fraction], g: list[Fraction]) -> list[Fraction]:
    return times([d[i : i + len(g)] for i in range(len(d) - len(g) + 1)], g)


def numbers(m: int, r: int) -> tuple[list[Fraction], list[Fraction]]:
    rng = random.Random(m * r)  # noqa: S311
    return [Fraction(rng.randint(-99, 99)) for _ in range(m + r - 1)], [
        Fraction(rng.randint(-99, 99)) for _ in range(r)
    ]


def test_every_winograd_kernel_has_matrices():
    assert SIZES == [(2, 3), (2, 5), (4, 3), (4, 5), (6, 5)]


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_they_compute_a_correlation(printed, m, r):
    matrices = {name: fractions(matrix) for name, matrix in printed[f"{m} {r}"].items()}
    d, g = numbers(m, r)
    assert filtered(matrices, d, g) == correlated(d, g)


@pytest.mark.parametrize("name", ["at", "g", "bt"])
def test_one_wrong_number_is_seen(printed, name):
    matrices = {name: fractions(matrix) for name, matrix in printed["4 5"].items()}
    matrices[name][1][2] += Fraction(1, 1 << 20)
    d, g = numbers(4, 5)
    assert filtered(matrices, d, g) != correlated(d, g)


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_they_are_those_of_wincnn(printed, m, r):
    """Up to the sign of a row, which G and BT have in common."""
    wincnn = pytest.importorskip("wincnn", reason="wincnn is not installed: tools/venv")
    points = [Fraction(point) for point in printed["points"]][: m + r - 2]
    at, g, bt, _ = wincnn.cookToomFilter([_sympy(point) for point in points], m, r)
    ours = {name: fractions(matrix) for name, matrix in printed[f"{m} {r}"].items()}
    assert ours["at"] == _fractions(at)
    for our_g, our_bt, their_g, their_bt in zip(ours["g"], ours["bt"], _fractions(g), _fractions(bt), strict=True):
        signs = {-1 if our_g == [-value for value in their_g] else 1, -1 if our_bt == [-x for x in their_bt] else 1}
        (sign,) = signs
        assert our_g == [sign * value for value in their_g]
        assert our_bt == [sign * value for value in their_bt]


def _sympy(value: Fraction) -> Any:
    import sympy

    return sympy.Rational(value.numerator, value.denominator)


def _fractions(matrix: Any) -> list[list[Fraction]]:
    return [[Fraction(int(value.p), int(value.q)) for value in matrix.row(i)] for i in range(matrix.rows)]
