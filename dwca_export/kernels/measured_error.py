"""How wrong a kernel is: its largest error, counted as `bounds` counts it.

An output is a sum of K x K products. Rounding gives it an error in proportion to the sum of the magnitudes of those
products, however much of it cancels (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1).
Winograd's transforms mix outputs that lie side by side, and their errors with them, among them outputs that are not
asked for: the largest such sum of any window that sees a part of the channel is what all of its errors are held to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dwca_export.kernels.bounds import EPSILON

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwca_export.kernels.layer import Layer


class Truth:
    """What a layer should compute for one input, and the scale of its errors.

    Args:
        layer: The layer.
        array: float32, `(C, H, W)`.
        weight: float32, `(C, K, K)`.
        bias: float32, `(C,)`, or None.
        reference: Computes a layer in float64: `kernels.reference`.
    """

    def __init__(
        self,
        layer: Layer,
        array: np.ndarray,
        weight: np.ndarray,
        bias: np.ndarray | None,
        reference: Callable[[Layer, np.ndarray, np.ndarray, np.ndarray | None], np.ndarray],
    ) -> None:
        self.values = reference(layer, array, weight, bias)
        magnitude = None if bias is None else np.abs(bias)
        reach = layer.extent - 1
        whole = replace(layer, activation="none", stride=1, padding=(reach, reach, reach, reach))
        sums = reference(whole, np.abs(array), np.abs(weight), magnitude)
        self.scale = sums.max(axis=(1, 2), keepdims=True)

    def largest_error(self, output: np.ndarray) -> float:
        """The largest absolute difference; infinite where `output` is not a number, or of another shape.

        Args:
            output: `(C, OH, OW)`.
        """
        if output.shape != self.values.shape or not np.isfinite(output).all():
            return float("inf")
        return float(np.max(np.abs(output - self.values), initial=0.0))

    def epsilons(self, output: np.ndarray, arithmetic: str) -> float:
        """The largest error over the largest sum of magnitudes in its channel, in epsilons.

        Args:
            output: `(C, OH, OW)`.
            arithmetic: Whose epsilon: `fp32` or `fp16`.
        """
        if output.shape != self.values.shape or not np.isfinite(output).all():
            return float("inf")
        errors = np.abs(output - self.values)
        # Where all products are zero the output is exact, or it is wrong.
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(errors == 0, 0.0, errors / self.scale)
        return float(np.max(relative, initial=0.0)) / EPSILON[arithmetic]
