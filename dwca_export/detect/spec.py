"""What a bundle has to say of a detector for its maps to be read: strides, anchors, thresholds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAPS = 2  # of each scale: logits and boxes
_BOX = 4
_PAIR = 2
_HINT = "the card's `detection` is written by the training; take card and checkpoint of one training"


@dataclass(frozen=True)
class DetectorSpec:
    """How the maps of a single-shot detector hold its boxes.

    Attributes:
        strides: Pixels from one cell to the next, of each scale.
        anchors: Width and height in pixels of the anchors of each scale, the same number at each.
        score_threshold: The score from which a box is shown.
        iou_threshold: The overlap that two boxes of one class may have.
        image_size: Height and width of the images that it was trained on.
    """

    strides: tuple[int, ...]
    anchors: tuple[tuple[tuple[float, float], ...], ...]
    score_threshold: float
    iou_threshold: float
    image_size: int

    @classmethod
    def from_document(cls, document: object) -> DetectorSpec:
        """Read what a card or a manifest says under `detection`.

        Raises:
            InputRefusedError: Something in it is missing, or cannot be.
        """
        if not isinstance(document, dict):
            raise _refused("it is no JSON object")
        strides, anchors = _strides(document.get("strides")), _anchors(document.get("anchors"))
        if len(anchors) != len(strides):
            raise _refused(f"there are {len(strides)} strides and anchors of {len(anchors)} scales")
        size: Any = document.get("image_size")
        if not _is_size(size):
            raise _refused(f"image_size {size!r} is no positive integer")
        score, iou = (_threshold(document, name) for name in ("score_threshold", "iou_threshold"))
        return cls(strides, anchors, score, iou, size)

    def document(self) -> dict[str, Any]:
        """What a card or a manifest says under `detection`."""
        written = asdict(self)
        written["strides"] = list(self.strides)
        written["anchors"] = [[list(anchor) for anchor in scale] for scale in self.anchors]
        return written

    def check_maps(self, shapes: Sequence[Sequence[int]], classes: int, size: Sequence[int]) -> None:
        """Hold the outputs of a network to these strides and anchors.

        Args:
            shapes: Of the outputs in order, batch axis included: of each scale first the class logits, then the boxes.
            classes: How many classes there are.
            size: Height and width of the image.

        Raises:
            InputRefusedError: They cannot be maps of such a detector.
        """
        if len(shapes) != _MAPS * len(self.strides):
            raise _refused(
                f"it names {len(self.strides)} scales of two maps each, the network has {len(shapes)} outputs"
            )
        for index, stride in enumerate(self.strides):
            cells = [math.ceil(side / stride) for side in size]
            for shape, values in zip(shapes[_MAPS * index :], (classes, _BOX), strict=False):
                wanted = [len(self.anchors[index]) * values, *cells]
                if list(shape[1:]) != wanted:
                    raise _refused(
                        f"at stride {stride} with {len(self.anchors[index])} anchors and {classes} labels, an output "
                        f"is {wanted}, the network's is {list(shape[1:])}"
                    )


def _strides(value: Any) -> tuple[int, ...]:
    if not _list_of(value, _is_size) or len(set(value)) != len(value):
        raise _refused(f"strides {value!r} are not different positive integers")
    return tuple(value)


def _anchors(value: Any) -> tuple[tuple[tuple[float, float], ...], ...]:
    if not _list_of(value, lambda scale: _list_of(scale, _is_anchor)) or len({len(scale) for scale in value}) != 1:
        raise _refused("anchors are not equally many [width, height] of positive numbers for each scale")
    return tuple(tuple((float(width), float(height)) for width, height in scale) for scale in value)


def _threshold(document: Mapping[str, Any], name: str) -> float:
    value: Any = document.get(name)
    if not _is_number(value) or not 0 <= value <= 1:
        raise _refused(f"{name} {value!r} is not from 0 to 1")
    return float(value)


def _list_of(value: Any, fits: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(fits, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_anchor(value: Any) -> bool:
    return _list_of(value, lambda side: _is_number(side) and side > 0) and len(value) == _PAIR


def _refused(what: str) -> InputRefusedError:
    return InputRefusedError(what, where="detection", hint=_HINT)
