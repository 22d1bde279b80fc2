"""Input shapes as people write them (`1x3x224x160`) and as files name them (a list of integers)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dwca_export.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

# ncnn and pnnx count elements in a signed 32-bit integer.
MAX_ELEMENTS = 2**31

_EXAMPLE = "write every dimension, batch first, joined by x: 1x3x224x224"


def parse_shape(text: str) -> tuple[int, ...]:
    """Read a shape from the command line.

    Args:
        text: Dimensions joined by `x`, batch first: `1x3x224x160`.

    Returns:
        The dimensions, each at least 1.

    Raises:
        UsageError: The text is no shape, names a single dimension, or one of no element or of more than 2**31.
    """
    parts = text.strip().lower().split("x")
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"{text!r} is not an input shape", where="--shape", hint=_EXAMPLE)
    if any(len(part) > len(str(MAX_ELEMENTS)) for part in parts):
        raise UsageError(f"{text!r} has more than 2**31 elements", where="--shape", hint=_EXAMPLE)
    shape = tuple(int(part) for part in parts)
    if fault := shape_fault(shape):
        raise UsageError(f"{text!r} {fault}", where="--shape", hint=_EXAMPLE)
    return shape


def shapes_text(shapes: Sequence[Sequence[int]]) -> str:
    """Write the shapes of all inputs as people read them: `1x3x224x160 + 1x7`."""
    return " + ".join("x".join(map(str, shape)) for shape in shapes)


def shape_fault(shape: Sequence[int]) -> str:
    """Say what keeps a sequence of dimensions from being an input shape.

    Args:
        shape: The dimensions, batch first.

    Returns:
        The fault, to be put behind the shape's name; empty where there is none.
    """
    if len(shape) < 2:  # noqa: PLR2004 - a batch and at least one feature
        return "has fewer than two dimensions"
    if any(size < 1 for size in shape):
        return "has a dimension below 1"
    if math.prod(shape) > MAX_ELEMENTS:
        return "has more than 2**31 elements"
    return ""
