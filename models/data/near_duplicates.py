"""Finds drawings of different vendors that are nearly the same, by perceptual hash, so that none is in two parts.

A drawing is laid along x, stretched to a square of `_SIDE` pixels, and described by the signs of its low frequencies
(pHash: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010) - once for each of the four
ways in which it can lie, as a copy may be turned round or mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.data.render import LENGTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.data.render import Drawing

_SIDE = 32
_FREQUENCIES = 12
BITS = _FREQUENCIES**2 - 1
# Read off the pairs of the pinned package: up to here nearly all show one shape, drawn again with other lines; beyond
# 30 ever more are different drawings of the same thing. Chance alone would give half of the bits.
MOST_BITS = 24
# Copies are as slender as the original: relative difference of width to length.
_SLENDERNESS = 0.2

Signs = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Hash:
    """Perceptual hash of a drawing.

    Attributes:
        signs: int8 `(4, BITS)`, -1 or 1, one row for each way in which the drawing can lie.
        slenderness: Width by length.
    """

    signs: Signs
    slenderness: float


def perceptual_hash(drawing: Drawing) -> Hash:
    """Hash a drawing.

    Args:
        drawing: The drawing.

    Returns:
        Its hash.
    """
    # As floating-point numbers: rounding would turn the signs of small coefficients.
    alpha = Image.fromarray(drawing.image[:, :, 3].astype(np.float32))
    square = np.asarray(alpha.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), np.float64)
    ways = [square, square[::-1], square[:, ::-1], square[::-1, ::-1]]
    return Hash(np.stack([_signs(way) for way in ways]), drawing.image.shape[0] / LENGTH)


def distance(one: Hash, other: Hash) -> int:
    """Count the bits in which two drawings differ, in the way of lying in which they differ least.

    Args:
        one: A hash.
        other: Another.

    Returns:
        0 to `BITS`; `BITS` if the drawings are not equally slender.
    """
    if abs(one.slenderness - other.slenderness) > _SLENDERNESS * max(one.slenderness, other.slenderness):
        return BITS
    agreement = other.signs.astype(np.int32) @ one.signs[0].astype(np.int32)
    return int(BITS - agreement.max()) // 2


def removals(hashes: Sequence[Hash], vendors: Sequence[str], order: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Choose what to remove so that no two vendors have nearly the same drawing.

    Args:
        hashes: One for each drawing.
        vendors: Its vendor.
        order: All drawings; of two that are near-duplicates the earlier one is kept.

    Returns:
        Drawing to remove -> the one that is kept instead, and their distance in bits.
    """
    kept: list[int] = []
    removed: dict[int, tuple[int, int]] = {}
    for number in order:
        twins = (
            (distance(hashes[other], hashes[number]), other) for other in kept if vendors[other] != vendors[number]
        )
        bits, nearest = min(twins, default=(BITS, -1))
        if bits <= MOST_BITS:
            removed[number] = (nearest, bits)
        else:
            kept.append(number)
    return removed


def _signs(square: npt.NDArray[np.float64]) -> Signs:
    """Take the signs of the low frequencies, without the mean: to mirror the drawing is to turn some of them."""
    n = np.arange(_SIDE)
    basis = np.cos(np.pi / _SIDE * (n + 0.5) * np.arange(_FREQUENCIES)[:, np.newaxis])
    low = (basis @ square @ basis.T).ravel()[1:]
    return np.where(low > 0, 1, -1).astype(np.int8)
