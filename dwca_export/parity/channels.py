"""Errors relative to the size of each channel, which the norm over a whole output hides in the small ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# A channel below this share of the largest is measured against the share. What is really zero holds the rounding of
# the numbers that cancelled in it: some 1e-7 of the largest channel, which is 1e-4 of this floor. A score is not taken
# for that: beside boxes in pixels up to 640 the floor is at 0.4, and a thousandth of it (fp32) is still judged.
FLOOR = 1e-3
# The norm over few numbers is small by chance now and then, and the relative error then large.
_LEAST_NUMBERS = 16
# N, 84, 8400 and N, 8400, 84 hold 84 channels both: an axis so many times as long as the other counts positions. The
# few numbers of one position are small by chance, too.
_LONGER = 16
_SEQUENCE_RANK = 3  # N, channels, positions in either order
_VECTOR_RANK = 2  # N, values: one number each, which has no norm of its own


@dataclass(frozen=True)
class ChannelError:
    """The channel that errs most, beside its own size.

    Attributes:
        axis: Axis that counts the channels, of the array with batch axis.
        index: Which of them.
        relative_l2: Norm of its error in the worst sample, over its norm (root of the mean square over the samples)
            or `FLOOR` times the largest channel's, whichever is larger.
    """

    axis: int
    index: int
    relative_l2: float

    def __str__(self) -> str:
        return f"channel {self.index} of axis {self.axis}"


def worst_channel(reference: Sequence[np.ndarray], candidate: Sequence[np.ndarray]) -> ChannelError | None:
    """Find the channel with the largest relative error.

    Both layouts are looked at: the channels behind the batch axis, and those on the last axis.

    Args:
        reference: One array per sample, batch axis first.
        candidate: What is compared with it, of the same shapes.

    Returns:
        None for outputs without channels: vectors, and what has too few numbers for each.
    """
    found = [_worst(axis, reference, candidate) for axis in channel_axes(reference[0].shape, len(reference))]
    # Written so that NaN is the worst.
    return max(found, key=lambda one: math.inf if math.isnan(one.relative_l2) else one.relative_l2, default=None)


def channel_axes(shape: tuple[int, ...], samples: int) -> tuple[int, ...]:
    """The axes that may count channels.

    Args:
        shape: Shape of an output, batch axis included.
        samples: How many samples there are: a channel's numbers in all of them make its norm.
    """
    rank = len(shape)
    if rank <= _VECTOR_RANK:
        return ()
    axes = [1, rank - 1]
    if rank == _SEQUENCE_RANK:
        axes = [axis for axis in axes if shape[axis] < _LONGER * shape[3 - axis]]
    each = {axis: math.prod(shape) // shape[axis] for axis in axes}
    return tuple(axis for axis in axes if shape[axis] > 1 < each[axis] and each[axis] * samples >= _LEAST_NUMBERS)


def channel_rows(array: np.ndarray) -> np.ndarray:
    """One row of float64 per channel of an array without batch axis, channels first; a vector is one channel."""
    rows: np.ndarray = array.reshape(array.shape[0] if array.ndim > 1 else 1, -1).astype(np.float64, copy=False)
    return rows


def _worst(axis: int, reference: Sequence[np.ndarray], candidate: Sequence[np.ndarray]) -> ChannelError:
    sizes = np.sqrt(np.mean([_squares(axis, array) for array in reference], axis=0))
    pairs = zip(reference, candidate, strict=True)
    noise = np.sqrt(np.max([_squares(axis, np.subtract(b, a, dtype=np.float64)) for a, b in pairs], axis=0))
    scales = np.maximum(sizes, FLOOR * sizes.max())
    with np.errstate(divide="ignore", invalid="ignore"):
        # Nothing but zeros that came out as zeros is no error.
        ratios = np.where(noise == 0, 0.0, noise / scales)
    index = int(ratios.argmax())
    return ChannelError(axis, index, float(ratios[index]))


def _squares(axis: int, array: np.ndarray) -> np.ndarray:
    """Sum of squares of each channel, in float64."""
    others = tuple(other for other in range(array.ndim) if other != axis)
    sums: np.ndarray = np.square(array, dtype=np.float64).sum(axis=others)
    return sums
