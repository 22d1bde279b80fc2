"""Reads image files as 8-bit pixels and brings them to a network's size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import InputRefusedError
from dwca_export.loading.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
MAX_CHANNELS = 4
"""Grey, grey with alpha, RGB, RGB with alpha."""

_MODES = {1: "L", 3: "RGB"}
_GREY = {"1", "L"}
_DEEP = {"I", "F"}


def read_image(path: Path) -> np.ndarray:
    """Read an image.

    Returns:
        uint8, (H, W, 1) for grey images and (H, W, 3) for all others; alpha is dropped, 16 bits are brought to 8.

    Raises:
        InputRefusedError: The file is damaged, no image, or one of 32 bits, whose range nobody knows.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = _pixels(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputRefusedError(
            f"not an image: {one_line(error)}", where=str(path), hint="remove or repair the file"
        ) from error
    if pixels is None:
        raise InputRefusedError("32 bits a pixel", where=str(path), hint="save it with 8 or 16 bits a channel")
    return pixels.reshape(*pixels.shape[:2], -1)


def _pixels(image: Any) -> np.ndarray | None:
    if image.mode in _DEEP:
        return None
    if image.mode.startswith("I;16"):
        # Pillow's own conversion cuts off at 255.
        return np.asarray(np.rint(np.asarray(image).astype(np.float64) / 257), np.uint8)
    return np.asarray(image.convert("L" if image.mode in _GREY else "RGB"))


def fit_image(pixels: np.ndarray, channels: int, height: int, width: int) -> np.ndarray:
    """Bring an image to a number of channels and a size (bilinear).

    Args:
        pixels: uint8, (H, W, C), with 1 to `MAX_CHANNELS` channels.
        channels: Channels that the network takes.
        height: Height that it takes.
        width: Width that it takes.

    Returns:
        uint8, (height, width, channels).

    Raises:
        InputRefusedError: Images do not have that many channels.
    """
    from PIL import Image

    if channels not in _MODES:
        raise InputRefusedError(
            f"the network takes {channels} channels, images have 1 or 3", where="--images", hint="use a .npy of inputs"
        )
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert(_MODES[channels])
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(height, width, channels)
