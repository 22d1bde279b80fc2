"""Composes the images of the data set: objects on backgrounds, seen through a poor camera."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from models.data import backgrounds
from models.data.objects import coloured, lay_over, placed, thickened
from models.data.thin_objects import OBJECT_SIDE, SCENE_SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.data.objects import Patch
    from models.data.render import Drawing
    from models.data.thin_objects import Bytes

# Longest side of an object in pixels, the longer the more often: the share of a length is as its square.
LENGTHS = (8.0, 40.0)
MOST_OBJECTS = 4
# How far from the middle the object of an image of one may be, in pixels.
_STRAYING = 6.0
_TRIES = 20
# Free pixels between the boxes of two objects.
_GAP = 1
_BLUR = (0.0, 0.6)
_JPEG = 0.7
_QUALITIES = (60, 95)
_NOISE = (0.0, 4.0)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """An object in a scene.

    Attributes:
        drawing: Which drawing.
        box: `(4,)` x0, y0, x1, y1 in pixels.
        length: Its longest side in pixels.
    """

    drawing: int
    box: Floats
    length: float


def object_image(drawing: Drawing, photographs: Sequence[Bytes], generator: np.random.Generator) -> tuple[Bytes, float]:
    """Compose an image of one object, near the middle.

    Args:
        drawing: The object.
        photographs: Backgrounds.
        generator: Source of all choices.

    Returns:
        uint8 `(64, 64, 3)`, and the object's length in pixels.
    """
    canvas = backgrounds.background(OBJECT_SIDE, photographs, generator)
    length = _length(generator)
    room = min(_STRAYING, (OBJECT_SIDE - length * math.sqrt(2)) / 2)
    centre = OBJECT_SIDE / 2 + generator.uniform(-room, room, 2)
    lay_over(canvas, _patch(drawing, length, centre, canvas, generator))
    return photographed(canvas, generator), length


def scene_image(
    drawings: Sequence[Drawing], chosen: Sequence[int], photographs: Sequence[Bytes], generator: np.random.Generator
) -> tuple[Bytes, list[Found]]:
    """Compose an image of several objects whose boxes do not meet.

    Args:
        drawings: All drawings.
        chosen: Which of them should be in the scene; one for which no room is found is left out, but not the first.
        photographs: Backgrounds.
        generator: Source of all choices.

    Returns:
        uint8 `(96, 96, 3)`, and what is in it.
    """
    canvas = backgrounds.background(SCENE_SIDE, photographs, generator)
    found: list[Found] = []
    for number in chosen:
        for _ in range(_TRIES):
            length = _length(generator)
            room = length / 2 * math.sqrt(2)
            centre = generator.uniform(room, SCENE_SIDE - room, 2)
            if any(_covers(other.box, centre) for other in found):
                continue
            patch = _patch(drawings[number], length, centre, canvas, generator)
            if all(_apart(patch.box, other.box) for other in found):
                lay_over(canvas, patch)
                found.append(Found(number, np.clip(patch.box, 0, SCENE_SIDE), length))
                break
    return photographed(canvas, generator), found


def photographed(canvas: Floats, generator: np.random.Generator) -> Bytes:
    """See a scene through a poor camera: blur, compression and noise, each more or less.

    Args:
        canvas: float64 `(H, W, 3)`, 0 to 255.
        generator: Source of all choices.

    Returns:
        uint8 `(H, W, 3)`.
    """
    image = Image.fromarray(_rounded(canvas)).filter(ImageFilter.GaussianBlur(generator.uniform(*_BLUR)))
    pixels = np.asarray(image, np.float64)
    pixels = pixels + generator.normal(0, generator.uniform(*_NOISE), pixels.shape)
    image = Image.fromarray(_rounded(pixels))
    if generator.random() < _JPEG:
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=int(generator.integers(*_QUALITIES)))
        image = Image.open(packed)
    return np.asarray(image)


def _length(generator: np.random.Generator) -> float:
    shortest, longest = LENGTHS
    return float(np.cbrt(generator.uniform(shortest**3, longest**3)))


def _patch(drawing: Drawing, length: float, centre: Floats, canvas: Floats, generator: np.random.Generator) -> Patch:
    x0, y0 = np.maximum(np.floor(centre - length / 2), 0).astype(int)
    x1, y1 = np.ceil(centre + length / 2).astype(int)
    ground = canvas[y0:y1, x0:x1].mean((0, 1))
    return placed(coloured(thickened(drawing, generator), ground, generator), length, centre, generator)


def _apart(box: Floats, other: Floats) -> bool:
    return bool(
        box[0] >= other[2] + _GAP or other[0] >= box[2] + _GAP or box[1] >= other[3] + _GAP or other[1] >= box[3] + _GAP
    )


def _covers(box: Floats, point: Floats) -> bool:
    return bool((box[:2] <= point).all() and (point <= box[2:]).all())


def _rounded(pixels: Floats) -> Bytes:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
