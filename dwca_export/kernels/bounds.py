"""How wrong a kernel may be: the error that its algorithm has by rounding, and no more.

An error is counted in epsilons of the type that is computed with (2^-23 for fp32, 2^-10 for fp16), relative to the
largest sum of |weight * input| of any window that sees a part of the same channel (measured_error.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.kernels.layer import Layer

EPSILON = {"fp32": 2.0**-23, "fp16": 2.0**-10}
"""Of a type of arithmetic."""

_STORAGE_EPSILON = {"fp32": 2.0**-23, "fp16": 2.0**-10, "bf16": 2.0**-7}

WINOGRAD_EPSILONS = {
    "winograd_1d F(2,3)": 10.0,
    "winograd_1d F(4,3)": 50.0,
    "winograd_1d F(2,5)": 60.0,
    "winograd_1d F(4,5)": 80.0,
    "winograd_1d F(6,5)": 280.0,
    "winograd_2d F(2x2,3x3)": 14.0,
    "winograd_2d F(4x4,3x3)": 280.0,
    "winograd_2d F(2x2,5x5)": 320.0,
    "winograd_2d F(4x4,5x5)": 500.0,
}
"""Winograd's transforms multiply by numbers larger than 1 and cancel them again, which leaves their rounding errors. A
bound that holds for every input would be far above what occurs, so these are four times the largest error among
thousands of random layers (tools/kernel_errors.py), rounded up."""


def error_bound(algorithm: str, layer: Layer, storage: str = "fp32", arithmetic: str = "fp32") -> float:
    """The largest error that an algorithm may have, in epsilons of the arithmetic.

    A sum of n products that are added one after the other, each with one rounding, is off by n / 2 epsilons at most
    (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
    """
    taps = layer.kernel**2
    epsilons = WINOGRAD_EPSILONS.get(algorithm, taps / 2 + 1)
    if arithmetic == "fp16":
        epsilons += 1  # weights and bias are rounded
    if layer.activation == "hardswish":
        epsilons = 1.5 * epsilons + 3  # its slope is 1.5 at most; three roundings
    return epsilons + _STORAGE_EPSILON[storage] / EPSILON[arithmetic]
