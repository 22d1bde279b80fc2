"""One drawing as an object of a scene: coloured against its background, thickened or thinned, turned, scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from models.data.render import Drawing
    from models.data.thin_objects import Bytes

SUPERSAMPLING = 4
# Width across the object, and half of what is added to its lines, in pixels of a drawing that is `render.LENGTH` long.
_WIDTHS = (0.75, 1.3)
_LINES = (-2, -1, 0, 0, 1, 2, 4, 6)
# A line that would lose more than this is left as it is.
_LEAST_LEFT = 0.6
# Difference of brightness (0 to 255) from the background.
_CONTRASTS = (100.0, 220.0)
_FILLED = 0.95
# Coverage of a supersampled pixel from which on it belongs to the box.
_VISIBLE = 1 / 8
_WHITE = 255
_LUMA = np.array((0.299, 0.587, 0.114))  # ITU-R BT.601

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Patch:
    """A small image to be laid over a background.

    Attributes:
        pixels: float64 `(h, w, 4)`, red, green and blue times coverage, 0 to 255; coverage, 0 to 1.
        x: Column of the background that its first column goes to.
        y: Row likewise.
        box: `(4,)` x0, y0, x1, y1 of what is visible, in pixels of the background.
    """

    pixels: Floats
    x: int
    y: int
    box: Floats


def thickened(drawing: Drawing, generator: np.random.Generator) -> Drawing:
    """Make the lines of a drawing thicker or thinner, at random.

    Args:
        drawing: The drawing; if it has colours of its own it is left alone.
        generator: Source of all choices.

    Returns:
        The drawing, larger by what its lines have grown.
    """
    change = int(generator.choice(_LINES))
    if drawing.coloured or change == 0:
        return drawing
    margin = ((max(change, 0),) * 2,) * 2
    alpha = np.pad(drawing.image[:, :, 3], margin)
    changed = _spread(alpha, change)
    if changed.sum(dtype=np.int64) < _LEAST_LEFT * alpha.sum(dtype=np.int64):
        return drawing
    image = np.pad(drawing.image, (*margin, (0, 0)))
    image[:, :, 3] = changed
    return type(drawing)(image, np.pad(drawing.silhouette, margin), drawing.coloured)


def _spread(alpha: Bytes, change: int) -> Bytes:
    """Take the largest (change > 0) or smallest value of a square around each pixel, first in columns, then in rows."""
    pick = np.maximum if change > 0 else np.minimum
    for axis in (0, 1):
        source = np.swapaxes(alpha, 0, axis)
        result = source.copy()
        for step in range(1, min(abs(change), len(source) - 1) + 1):
            pick(result[step:], source[:-step], out=result[step:])
            pick(result[:-step], source[step:], out=result[:-step])
        alpha = np.swapaxes(result, 0, axis)
    return alpha


def coloured(drawing: Drawing, ground: Floats, generator: np.random.Generator) -> Image.Image:
    """Give a drawing colours that stand out from its background, more or less.

    Args:
        drawing: The drawing.
        ground: `(3,)` mean colour of the background there, 0 to 255.
        generator: Source of all choices.

    Returns:
        RGBA, of the drawing's size.
    """
    contrast = generator.uniform(*_CONTRASTS)
    if drawing.coloured:
        return _shifted(drawing.image, ground, contrast)
    lines = _layer(drawing.image[:, :, 3], _colour(ground, contrast, generator))
    inner = _colour(ground, generator.uniform(*_CONTRASTS), generator)
    if generator.random() >= _FILLED:
        return lines
    return Image.alpha_composite(_layer(drawing.silhouette, inner), lines)


def placed(image: Image.Image, length: float, centre: Floats, generator: np.random.Generator) -> Patch:
    """Turn and scale an object to its place, each pixel the mean of `SUPERSAMPLING` squared.

    Args:
        image: RGBA, the object along x, from edge to edge.
        length: Its longest side in the scene, in pixels.
        centre: `(2,)` x and y of its middle in the scene.
        generator: Source of the angle, of mirroring and of the width.

    Returns:
        The object in its place.
    """
    width = min(generator.uniform(*_WIDTHS), image.width / image.height)
    angle = generator.uniform(0, 2 * math.pi)
    mirror = float(generator.choice((-1, 1)))
    reach = math.ceil(length / 2 * math.hypot(1, image.height * width / image.width)) + 1
    corner = np.floor(centre).astype(int) - reach
    side = 2 * reach + 1
    level = max(1, int(image.width / (length * SUPERSAMPLING)))
    source = image.convert("RGBa").reduce(level)
    # From a point of the result to one of the source, as Pillow wants it.
    scale = image.width / (length * SUPERSAMPLING * level)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin * mirror / width, cos * mirror / width]]) * scale
    middle = (centre - corner) * SUPERSAMPLING
    offset = np.array((image.width, image.height)) / (2 * level) - turn @ middle
    matrix = (turn[0, 0], turn[0, 1], offset[0], turn[1, 0], turn[1, 1], offset[1])
    size = (side * SUPERSAMPLING, side * SUPERSAMPLING)
    fine = np.asarray(source.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))
    pixels = fine.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING, 4).mean((1, 3))
    pixels[:, :, 3] /= _WHITE
    return Patch(pixels, int(corner[0]), int(corner[1]), _box(fine[:, :, 3]) + np.tile(corner, 2))


def lay_over(canvas: Floats, patch: Patch) -> None:
    """Lay a patch over a background; what leaves it is cut off.

    Args:
        canvas: float64 `(H, W, 3)`, 0 to 255; changed in place.
        patch: What to lay over it.
    """
    height, width = canvas.shape[:2]
    x0, y0 = max(patch.x, 0), max(patch.y, 0)
    x1, y1 = min(patch.x + patch.pixels.shape[1], width), min(patch.y + patch.pixels.shape[0], height)
    piece = patch.pixels[y0 - patch.y : y1 - patch.y, x0 - patch.x : x1 - patch.x]
    under = canvas[y0:y1, x0:x1]
    under *= 1 - piece[:, :, 3:]
    under += piece[:, :, :3]


def _box(alpha: Bytes) -> Floats:
    visible = alpha >= _VISIBLE * _WHITE
    if not visible.any():
        # Lines thinner than a supersampled pixel: all that is there counts.
        visible = alpha > 0
    ys, xs = np.nonzero(visible.any(1))[0], np.nonzero(visible.any(0))[0]
    return np.array((xs[0], ys[0], xs[-1] + 1, ys[-1] + 1)) / SUPERSAMPLING


def _layer(alpha: Bytes, colour: Floats) -> Image.Image:
    layer = np.empty((*alpha.shape, 4), np.uint8)
    layer[:, :, :3] = colour
    layer[:, :, 3] = alpha
    return Image.fromarray(layer)


def _colour(ground: Floats, contrast: float, generator: np.random.Generator) -> Floats:
    """Choose a colour, more often greyish than bright, that is lighter or darker than the ground by the contrast."""
    direction = _direction(ground, contrast, float(generator.choice((-1, 1))))
    hue = generator.normal(0, generator.uniform(0, 30), 3)
    hue -= hue @ _LUMA
    return np.asarray(np.clip(ground @ _LUMA + direction * contrast + hue, 0, _WHITE))


def _shifted(image: Bytes, ground: Floats, contrast: float) -> Image.Image:
    """Lighten or darken an object that has colours of its own, until it stands out from the ground by the contrast."""
    alpha = image[:, :, 3:].astype(np.float64)
    mean = (image[:, :, :3] * alpha).sum((0, 1)) / alpha.sum() @ _LUMA
    difference = mean - ground @ _LUMA
    direction = _direction(ground, contrast, math.copysign(1, difference))
    shift = direction * max(0.0, contrast - direction * difference)
    result = image.copy()
    result[:, :, :3] = np.clip(image[:, :, :3] + shift, 0, _WHITE)
    return Image.fromarray(result)


def _direction(ground: Floats, contrast: float, wanted: float) -> float:
    """Turn round where the range from black to white would end too soon."""
    brightness = float(ground @ _LUMA)
    fits = 0 <= brightness + wanted * contrast <= _WHITE
    return wanted if fits else math.copysign(1, _WHITE / 2 - brightness)
