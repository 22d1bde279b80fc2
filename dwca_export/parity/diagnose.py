"""What kind of fault makes one tensor another: a guess from the numbers, for people who look for the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from dwca_export.parity.channels import channel_rows

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal[
    "wrong size",
    "fp16 overflow",
    "non-finite",
    "zeros",
    "transposed axes",
    "wrong padding",
    "scale",
    "shift",
    "scale and shift",
    "some channels",
    "values",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

FP16_LARGEST = 65504.0
# An explanation has to leave less than this share of the error: an exact one leaves rounding, one that fits by chance
# most of it.
_UNEXPLAINED = 0.05
_FEW_CHANNELS = 0.25
_MAP_RANK = 3  # C, H, W


def diagnose(reference: np.ndarray, actual: np.ndarray, *, half: bool = False) -> Kind:
    """Tell the kind of fault.

    Args:
        reference: What the tensor should be, `(C, H, W)` or of any other rank, without batch axis; float.
        actual: What it is; it differs from the reference by more than rounding.
        half: Whether it was computed with numbers in fp16.

    Returns:
        The first kind in the order of `KINDS` that explains nearly all of the error; "values" if none does.
    """
    if reference.shape != actual.shape:
        return "wrong size"
    if not np.isfinite(actual).all():
        overflows = half and np.abs(reference).max() > FP16_LARGEST / 2
        return "fp16 overflow" if overflows else "non-finite"
    if not actual.any():
        return "zeros"
    wanted, found = (array.astype(np.float64) for array in (reference, actual))
    return next((kind for kind, explains in _EXPLANATIONS if explains(wanted, found)), "values")


def _leaves(rest: np.ndarray, error: np.ndarray) -> bool:
    """Whether an explanation leaves so little of the error that it counts."""
    return float(np.linalg.norm(rest)) < _UNEXPLAINED * float(np.linalg.norm(error))


def _transposed(wanted: np.ndarray, found: np.ndarray) -> bool:
    if wanted.ndim < 2 or wanted.shape[-1] != wanted.shape[-2]:  # noqa: PLR2004  two axes to be swapped
        return False
    return _leaves(found - wanted.swapaxes(-1, -2), found - wanted)


def _padding(wanted: np.ndarray, found: np.ndarray) -> bool:
    """The border alone is wrong."""
    if wanted.ndim < _MAP_RANK or min(wanted.shape[-2:]) < 5:  # noqa: PLR2004  two pixels of border and one inside
        return False
    error = found - wanted
    return _leaves(error[..., 2:-2, 2:-2], error)


def _fit(wanted: np.ndarray, found: np.ndarray, *, scale: bool, shift: bool) -> bool:
    """Whether each channel is the wanted one times a number, plus a number."""
    x, y = channel_rows(wanted), channel_rows(found)
    if x.shape[1] <= 2:  # noqa: PLR2004  two numbers explain everything
        return False
    middle_x, middle_y = (x.mean(1, keepdims=True), y.mean(1, keepdims=True)) if shift else (np.zeros(1), np.zeros(1))
    x, y = x - middle_x, y - middle_y
    squares = (x * x).sum(1, keepdims=True)
    factor = np.divide((x * y).sum(1, keepdims=True), squares, out=np.ones_like(squares), where=squares > 0)
    return _leaves(y - x * (factor if scale else 1.0), found - wanted)


def _scaled(wanted: np.ndarray, found: np.ndarray) -> bool:
    return _fit(wanted, found, scale=True, shift=False)


def _shifted(wanted: np.ndarray, found: np.ndarray) -> bool:
    return _fit(wanted, found, scale=False, shift=True)


def _scaled_and_shifted(wanted: np.ndarray, found: np.ndarray) -> bool:
    return _fit(wanted, found, scale=True, shift=True)


def _channels(wanted: np.ndarray, found: np.ndarray) -> bool:
    """A few channels hold nearly all of the error."""
    errors = np.square(channel_rows(found - wanted)).sum(1)
    few = int(_FEW_CHANNELS * len(errors))
    return few > 0 and float(np.sort(errors)[:-few].sum()) < _UNEXPLAINED**2 * float(errors.sum())


_EXPLANATIONS: tuple[tuple[Kind, Callable[[np.ndarray, np.ndarray], bool]], ...] = (
    ("transposed axes", _transposed),
    ("wrong padding", _padding),
    ("scale", _scaled),
    ("shift", _shifted),
    ("scale and shift", _scaled_and_shifted),
    ("some channels", _channels),
)
