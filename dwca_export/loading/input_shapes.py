"""Input shapes that a card or a checkpoint names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.shapes import parse_shape, shape_fault

if TYPE_CHECKING:
    from dwca_export.loading.source import Shapes

_SHAPE_KEYS = ("input_shape", "shape")
_SIDE_KEY = "imgsz"  # Ultralytics: side of a square image, or height and width


def shapes_of_card(card: Mapping[str, Any]) -> Shapes | None:
    """Read the input shapes of a card.

    Args:
        card: `"input": {"shape": [1, 3, 224, 224]}`, or a list of such, one per input.

    Returns:
        One shape per input, or None where the card names none.

    Raises:
        InputRefusedError: What it names is no shape.
    """
    if "input" not in card:
        return None
    named = card["input"]
    entries = named if isinstance(named, list) else [named]
    shapes = [_shape(entry.get("shape")) if isinstance(entry, Mapping) else None for entry in entries]
    read = tuple(shape for shape in shapes if shape is not None)
    if not read or len(read) != len(shapes):
        raise InputRefusedError(
            "its card names an input without a proper shape", hint='write "input": {"shape": [1, 3, 224, 224]}'
        )
    return read


def shapes_of_checkpoint(checkpoint: Mapping[str, Any], channels: int) -> Shapes | None:
    """Read the input shapes that a training loop kept beside the weights.

    Args:
        checkpoint: What the checkpoint holds apart from the network.
        channels: Input channels, where only the size of the image is named.

    Returns:
        One shape per input, or None where none is named. What is no shape names none: these keys are a habit, not a
        promise, so something else may well stand there.
    """
    for key in _SHAPE_KEYS:
        value = checkpoint.get(key)
        if shape := _shape(value):
            return (shape,)
        if isinstance(value, list | tuple) and value:
            shapes = tuple(shape for entry in value if (shape := _shape(entry)))
            if len(shapes) == len(value):
                return shapes
    side = checkpoint.get(_SIDE_KEY)
    sides = [side, side] if _is_int(side) else side
    shape = _shape([1, channels, *sides]) if isinstance(sides, list | tuple) and len(sides) == 2 else None  # noqa: PLR2004
    return (shape,) if shape else None


def _shape(value: object) -> tuple[int, ...] | None:
    if isinstance(value, str):
        try:
            return parse_shape(value)
        except UsageError:
            return None
    if not isinstance(value, Sequence) or not all(_is_int(size) for size in value) or shape_fault(value):
        return None
    return tuple(value)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
