"""Reads a depthwise layer from the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dwca_export.errors import UsageError
from dwca_export.kernels import Layer

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHAPE = re.compile(r"(\d+)x(\d+)x(\d+)", re.ASCII | re.IGNORECASE)
_MOST_DIGITS = 9
_PADDING = re.compile(r"(\d{1,4})(?:,(\d{1,4}),(\d{1,4}),(\d{1,4}))?", re.ASCII)
_EXAMPLE = "channels, height and width joined by x: 64x56x56"


def parse_layer(text: str, form: Mapping[str, Any]) -> Layer:
    """Read the input's shape, and what else describes the layer.

    Args:
        text: `64x56x56`.
        form: What was given of `kernel`, `stride`, `padding` (as text), `dilation`, `bias` and `activation`.

    Raises:
        UsageError: That is no shape, no padding, or an even kernel without a padding.
        InputRefusedError: There is no such layer.
    """
    match = _SHAPE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is no input of a layer", where="--shape", hint=_EXAMPLE)
    if max(map(len, match.groups())) > _MOST_DIGITS or not all(map(int, match.groups())):
        raise UsageError(f"{text!r} has a size of 0, or one that is too large", where="--shape", hint=_EXAMPLE)
    options: dict[str, Any] = {"kernel": 5, **form}
    if "padding" in form:
        options["padding"] = _padding(form["padding"])
    elif options["kernel"] % 2 == 0:
        raise UsageError(
            f"a kernel of {options['kernel']} is even, and no padding keeps the size",
            where="--kernel",
            hint="use an odd one, or give --padding",
        )
    channels, height, width = map(int, match.groups())
    return Layer(channels, height, width, **options)


def _padding(text: str) -> tuple[int, int, int, int]:
    match = _PADDING.fullmatch(text.strip())
    if not match:
        hint = "one number, or top,bottom,left,right: 2 or 2,2,1,1"
        raise UsageError(f"{text!r} is no padding", where="--padding", hint=hint)
    top, bottom, left, right = (int(match[1] if side is None else side) for side in match.groups())
    return top, bottom, left, right
