"""Measures how wrong the depthwise kernels are: the largest error among random layers, beside what bounds.py allows.

usage: python tools/kernel_errors.py [--layers 1000] [--seed 0]

Errors are in epsilons of the arithmetic, as dwca_export.kernels.bounds counts them. Storage is that of the arithmetic,
and there is no activation: bounds.py adds what these bring.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from dwca_export import kernels
from dwca_export.kernels.measured_error import Truth
from dwca_export.kernels.native import native

if TYPE_CHECKING:
    from collections.abc import Iterator

    Errors = dict[tuple[str, int, str], tuple[float, float]]

SIZES = (3, 5, 7)


def random_layer(rng: np.random.Generator, kernel: int) -> kernels.Layer:
    """One of 1 to 40 rows and columns, most of them with the padding that keeps the size."""
    height, width = (int(size) for size in rng.integers(1, 41, 2))
    padding = None if rng.random() < 0.7 else tuple(int(pad) for pad in rng.integers(kernel // 2, kernel + 1, 4))  # noqa: PLR2004
    fitting = padding or (kernel // 2,) * 4
    return kernels.Layer(16, height, width, kernel, padding=fitting, bias=bool(rng.random() < 0.5))  # noqa: PLR2004


def random_numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Of either sign, or of one as after a ReLU; alike in size, or far apart."""
    numbers = rng.standard_normal(shape, np.float32)
    kind = rng.integers(4)
    if kind == 1:
        numbers = np.abs(numbers)
    if kind == 2:  # noqa: PLR2004
        numbers = np.maximum(numbers, 0)
    return numbers**3 if kind == 3 else numbers  # noqa: PLR2004


def measured(
    layer: kernels.Layer, rng: np.random.Generator
) -> Iterator[tuple[tuple[str, int, str], tuple[float, float]]]:
    """Error and bound of every kernel of this machine on one layer."""
    array = random_numbers(rng, (layer.channels, layer.height, layer.width))
    weight = random_numbers(rng, (layer.channels, layer.kernel, layer.kernel))
    bias = rng.standard_normal(layer.channels, np.float32) if layer.bias else None
    for arithmetic in ("fp32", "fp16"):
        packed = kernels.pack(array, 4, arithmetic)
        truth = Truth(layer, kernels.unpack(packed, layer.channels), weight, bias, kernels.reference)
        for isa in kernels.isas():
            if not any(row[4] == arithmetic for row in native().kernels(isa)):
                continue
            for algorithm in kernels.algorithms(layer, isa, arithmetic):
                how = {"algorithm": algorithm, "storage": arithmetic, "arithmetic": arithmetic}
                output = kernels.plan(layer, weight, bias, isa=isa, elempack=4, **how)(packed)
                error = truth.epsilons(kernels.unpack(output, layer.channels), arithmetic)
                yield (algorithm, layer.kernel, arithmetic), (error, kernels.error_bound(layer=layer, **how))


def largest(layers: int, seed: int) -> Errors:
    """The largest error of every algorithm, and its bound."""
    rng = np.random.default_rng(seed)
    errors: Errors = {}
    for index in range(layers):
        for key, (error, bound) in measured(random_layer(rng, SIZES[index % len(SIZES)]), rng):
            errors[key] = (max(error, errors.get(key, (0.0,))[0]), bound)
    return errors


def table(errors: Errors) -> str:
    """The errors as lines of text."""
    lines = [f"{'algorithm':24} {'kernel':>6} {'arithmetic':>10} {'largest error':>14} {'bound':>8} {'times':>6}"]
    for (algorithm, kernel, arithmetic), (error, bound) in sorted(errors.items()):
        lines.append(f"{algorithm:24} {kernel:6} {arithmetic:>10} {error:14.2f} {bound:8g} {bound / error:6.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(table(largest(options.layers, options.seed)))
