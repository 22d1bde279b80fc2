"""Brings an image of any size to a network's size without changing its proportions, and boxes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dwca_export.errors import UsageError
from dwca_export.images import fit_image

if TYPE_CHECKING:
    from dwca_export.detect.decode import Array

BORDER = 128
"""Value of the pixels beside an image that has other proportions than the network's input."""


@dataclass(frozen=True)
class Placement:
    """Where in the network's input an image lies.

    Attributes:
        height: Of the image, in its own pixels.
        width: Of the image, in its own pixels.
        scaled_height: Of the image in the input.
        scaled_width: Of the image in the input.
        top: Rows of border above it.
        left: Columns of border beside it.
    """

    height: int
    width: int
    scaled_height: int
    scaled_width: int
    top: int
    left: int

    def to_image(self, boxes: Array) -> Array:
        """Bring boxes from the input to the image.

        Args:
            boxes: float32 `(n, 4)`, corners in pixels of the input.

        Returns:
            float32 `(n, 4)`, corners in pixels of the image, cut off at its edges; what lies in the border has no area.
        """
        shift = np.array([self.left, self.top] * 2)
        scale = np.array([self.width / self.scaled_width, self.height / self.scaled_height] * 2)
        return np.asarray(np.clip((boxes - shift) * scale, 0, [self.width, self.height] * 2), np.float32)


def place(height: int, width: int, input_height: int, input_width: int) -> Placement:
    """Find the largest place in the middle of the input that has an image's proportions.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        input_height: Height that the network takes.
        input_width: Width that it takes.
    """
    scale = min(input_height / height, input_width / width)
    rows, columns = (max(1, round(side * scale)) for side in (height, width))
    return Placement(height, width, rows, columns, (input_height - rows) // 2, (input_width - columns) // 2)


def letterbox(pixels: np.ndarray, channels: int, input_height: int, input_width: int) -> tuple[np.ndarray, Placement]:
    """Bring an image to a network's size (bilinear), with a grey border where its proportions are others.

    Args:
        pixels: uint8 `(H, W, C)`.
        channels: Channels that the network takes.
        input_height: Height that it takes.
        input_width: Width that it takes.

    Returns:
        uint8 `(input_height, input_width, channels)`, and where the image lies in it.

    Raises:
        InputRefusedError: Images do not have that many channels.
        UsageError: It has to be resized, and Pillow is not installed.
    """
    placement = place(pixels.shape[0], pixels.shape[1], input_height, input_width)
    size = (placement.scaled_height, placement.scaled_width)
    if pixels.shape != (*size, channels):
        pixels = _resize(pixels, channels, *size)
    canvas = np.full((input_height, input_width, channels), BORDER, np.uint8)
    canvas[placement.top : placement.top + size[0], placement.left : placement.left + size[1]] = pixels
    return canvas, placement


def _resize(pixels: np.ndarray, channels: int, height: int, width: int) -> np.ndarray:
    try:
        return fit_image(pixels, channels, height, width)
    except ImportError as error:
        raise UsageError(
            f"an image of {pixels.shape[1]}x{pixels.shape[0]} with {pixels.shape[2]} channels has to become "
            f"{width}x{height} with {channels}, and pillow is not installed",
            where="pillow",
            hint="pip install pillow, or give a .npy of uint8 pixels of the network's own size",
        ) from error
