"""Renders each icon once, large, and lays it along the x axis: what scenes are composed of."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from dwca_export.errors import InputRefusedError, UsageError

if TYPE_CHECKING:
    from models.data.icons import Icon
    from models.data.thin_objects import Bytes

# Six times the largest object of a scene.
LENGTH = 256
_RENDERED = 384
# Where connected parts and enclosed areas are looked for: a coarser grid closes hairline gaps.
_GRID = 96
_OPAQUE = 64
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{} {} {} {}" '
    'width="{}" height="{}" color="black">{}</svg>'
)

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Drawing:
    """An icon, rendered.

    Attributes:
        image: uint8 `(h, LENGTH, 4)`, RGBA, the longest side of the oriented object along x; cropped to it.
        silhouette: uint8 `(h, LENGTH)`, coverage of the object together with what its lines enclose.
        coloured: Whether RGB means something; else the drawing is black.
    """

    image: Bytes
    silhouette: Bytes
    coloured: bool


def render(icon: Icon) -> Drawing:
    """Render an icon.

    Args:
        icon: The icon.

    Returns:
        It, lying along x.

    Raises:
        UsageError: resvg_py is not installed.
        InputRefusedError: The icon cannot be rendered, or nothing can be seen of it.
    """
    image = rasterise(icon)
    silhouette = enclosed(np.asarray(image.getchannel("A")) >= _OPAQUE)
    if icon.largest_only:
        silhouette &= largest_part(silhouette)
        image = _cut_out(image, silhouette)
    if not silhouette.any():
        raise InputRefusedError("nothing can be seen of it", where=icon.name, hint="take it out of the recipe")
    layers = image.convert("RGBa"), Image.fromarray(silhouette.astype(np.uint8) * 255)
    size, matrix = _upright(silhouette)
    lying, filled = (
        layer.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC) for layer in layers
    )
    return Drawing(np.asarray(lying.convert("RGBA")), np.asarray(filled), icon.coloured)


def rasterise(icon: Icon) -> Image.Image:
    """Render an icon as its vendor drew it.

    Args:
        icon: The icon.

    Returns:
        RGBA, `_RENDERED` pixels on the longer side, with a margin of a sixteenth for lines that leave the view box.

    Raises:
        UsageError: resvg_py is not installed.
        InputRefusedError: The icon is no SVG that can be rendered.
    """
    try:
        import resvg_py
    except ImportError:
        raise UsageError("resvg_py is not installed", hint="pip install 'dwca-export[data]'") from None
    left, top, width, height = icon.view_box
    margin = max(width, height) / 16
    box = (left - margin, top - margin, width + 2 * margin, height + 2 * margin)
    scale = _RENDERED / max(box[2:])
    svg = _SVG.format(*box, round(box[2] * scale), round(box[3] * scale), icon.body)
    try:
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True))
        return Image.open(io.BytesIO(png)).convert("RGBA")
    except (ValueError, OSError) as error:
        hint = "take it out of the recipe"
        raise InputRefusedError(f"it cannot be rendered ({error})", where=icon.name, hint=hint) from error


def enclosed(mask: Mask) -> Mask:
    """Add what a mask encloses: all that cannot be reached from the border.

    Args:
        mask: bool `(H, W)`.

    Returns:
        bool `(H, W)`, at least `mask`.
    """
    coarse = np.pad(_coarse(mask), 1)
    seed = np.zeros_like(coarse)
    seed[0, 0] = True
    outside = _grown(seed, ~coarse)
    # A cell on the edge of the object belongs to both sides: what the mask leaves of it is outside.
    edge = _neighbours(_neighbours(outside))[1:-1, 1:-1]
    return np.asarray(mask | ~_fine(edge, mask.shape))


def largest_part(mask: Mask) -> Mask:
    """Find the largest connected part of a mask.

    Args:
        mask: bool `(H, W)`.

    Returns:
        bool `(H, W)`: a neighbourhood of that part that none of the other parts is in.
    """
    left = _coarse(mask)
    best = np.zeros_like(left)
    while left.any():
        seed = np.zeros_like(left)
        seed[tuple(np.argwhere(left)[0])] = True
        part = _grown(seed, left)
        best = part if part.sum() > best.sum() else best
        left &= ~part
    return _fine(best, mask.shape)


def _grown(seed: Mask, allowed: Mask) -> Mask:
    """Spread a seed to all four neighbours within what is allowed, until nothing changes."""
    grown = seed
    while True:
        spread = _neighbours(grown) & allowed
        if (spread == grown).all():
            return grown
        grown = spread


def _neighbours(mask: Mask) -> Mask:
    """Add the four neighbours of every cell."""
    spread = mask.copy()
    spread[1:] |= mask[:-1]
    spread[:-1] |= mask[1:]
    spread[:, 1:] |= mask[:, :-1]
    spread[:, :-1] |= mask[:, 1:]
    return np.asarray(spread)


def _coarse(mask: Mask) -> Mask:
    """Reduce to a grid; a cell counts as soon as anything is in it."""
    step = _RENDERED // _GRID
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % step), (0, -width % step)))
    cells = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    return np.asarray(cells.any((1, 3)))


def _fine(coarse: Mask, shape: tuple[int, ...]) -> Mask:
    step = _RENDERED // _GRID
    return np.asarray(coarse.repeat(step, 0).repeat(step, 1)[: shape[0], : shape[1]])


def _cut_out(image: Image.Image, mask: Mask) -> Image.Image:
    pixels = np.array(image)
    pixels[~mask] = 0
    return Image.fromarray(pixels)


def _upright(mask: Mask) -> tuple[tuple[int, int], tuple[float, ...]]:
    """Find the transform that lays an object along x.

    Returns:
        Size of the result, and the affine matrix that Pillow wants: from a point of the result to one of the source.
    """
    ys, xs = np.nonzero(mask)
    points = np.stack((xs, ys), 1) + 0.5
    centre = points.mean(0)
    _, axes = np.linalg.eigh(np.cov((points - centre).T))
    spans = (points - centre) @ axes
    low, high = spans.min(0) - 0.5, spans.max(0) + 0.5
    long, wide = (0, 1) if high[0] - low[0] >= high[1] - low[1] else (1, 0)
    scale = (high[long] - low[long]) / LENGTH
    height = max(1, round((high[wide] - low[wide]) / scale))
    along, across = axes[:, long] * scale, axes[:, wide] * scale
    origin = centre + axes[:, long] * low[long] + axes[:, wide] * low[wide]
    return (LENGTH, height), (along[0], across[0], origin[0], along[1], across[1], origin[1])
