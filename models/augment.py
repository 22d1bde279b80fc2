"""Augmentation of uint8 images: each is shifted and mirrored, and the boxes around its objects with it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dwca_export.errors import UsageError


@dataclass(frozen=True)
class Moves:
    """How the images of a batch are moved.

    Attributes:
        offsets: int64 `(2, N)`: which row and which column of the image becomes the first of the view.
        mirrored: bool `(2, N)`: whether the view's rows, and its columns, are reversed.
        transposed: bool `(N,)`: whether rows and columns are exchanged before all that.
    """

    offsets: Tensor
    mirrored: Tensor
    transposed: Tensor


def draw_moves(count: int, shift: int, mirror: str, generator: torch.Generator) -> Moves:
    """Draw how each image is moved.

    Args:
        count: Number of images.
        shift: Largest shift along either axis, in pixels.
        mirror: Which axes are reversed, each in half of the images: "none", "columns", "both", or "all", which also
            exchanges the two in half of the images, so that there are all eight views of a square.
        generator: Source of the random choices, on the CPU.

    Returns:
        The moves, on the CPU.
    """
    offsets = torch.randint(-shift, shift + 1, (2, count), generator=generator)
    chosen = torch.rand(3, count, generator=generator) < 0.5  # noqa: PLR2004
    axes = torch.tensor([[mirror in ("both", "all")], [mirror != "none"], [mirror == "all"]])
    mirrored = chosen & axes
    return Moves(offsets, mirrored[:2], mirrored[2])


def move_images(images: Tensor, moves: Moves, *, repeat_border: bool) -> Tensor:
    """Move images.

    Args:
        images: uint8 `(N, H, W, C)`.
        moves: Of `N` images.
        repeat_border: Whether what comes into view repeats the image's border; else it is 0.

    Returns:
        uint8 `(N, H, W, C)`.
    """
    count, height, width, channels = images.shape
    _require_square_if_transposed(moves, height, width)
    rows, columns = _sources(moves, 0, height)[:, :, None], _sources(moves, 1, width)[:, None, :]
    inside = ((rows >= 0) & (rows < height)) & ((columns >= 0) & (columns < width))
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    transposed = moves.transposed[:, None, None]
    places = torch.where(transposed, columns * width + rows, rows * width + columns)
    places += torch.arange(count)[:, None, None] * (height * width)
    # Several times as fast as indexing by image, row and column.
    pixels = images.reshape(-1, channels).index_select(0, places.view(-1).to(images.device))
    moved = pixels.view(count, height, width, channels)
    return moved if repeat_border else moved * inside[..., None].to(images.device)


def move_boxes(boxes: Tensor, image: Tensor, moves: Moves, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Move the boxes around objects with their images.

    Args:
        boxes: floating point `(M, 4)`: x0, y0, x1, y1 in pixels.
        image: int64 `(M,)`: which of the images each box lies in.
        moves: Of the images.
        size: Height and width of the images.

    Returns:
        The moved boxes, cut off at the borders, `(M, 4)`; and bool `(M,)`, whether at least half of the object's box is
        still in view.
    """
    _require_square_if_transposed(moves, *size)
    boxes = torch.where(moves.transposed[image, None], boxes[:, [1, 0, 3, 2]], boxes)
    moved = torch.empty_like(boxes)
    for axis, side in enumerate(size):
        low, high = 1 - axis, 3 - axis
        offset, mirrored = moves.offsets[axis, image], moves.mirrored[axis, image]
        straight = boxes[:, [low, high]] - offset[:, None]
        moved[:, [low, high]] = torch.where(mirrored[:, None], side - straight.flip(1), straight)
    limit = torch.tensor([size[1], size[0], size[1], size[0]])
    cut = torch.minimum(moved.clamp(min=0), limit)
    return cut, 2 * _areas(cut) >= _areas(moved)


def require_room(shift: int, side: int) -> None:
    """Check that a shift leaves something of an image in view.

    Args:
        shift: Largest shift, in pixels.
        side: The image's shorter side, in pixels.

    Raises:
        UsageError: It does not.
    """
    if shift >= side:
        raise UsageError(f"shift={shift} cannot be", where="recipe", hint=f"shift is 0 to {side - 1} for these images")


def _require_square_if_transposed(moves: Moves, height: int, width: int) -> None:
    if height != width and moves.transposed.any():
        raise UsageError(
            f"images of {height}x{width} cannot have rows and columns exchanged",
            where="recipe",
            hint='mirror can be "both" for them',
        )


def _sources(moves: Moves, axis: int, side: int) -> Tensor:
    """Which row (or column) of the image, transposed or not, each row of the view shows: int64 `(N, side)`."""
    view = torch.arange(side)
    return moves.offsets[axis][:, None] + torch.where(moves.mirrored[axis][:, None], view.flip(0), view)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
