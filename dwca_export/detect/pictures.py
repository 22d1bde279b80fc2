"""Images with the boxes that were found in them, as PNG files. Needs Pillow."""

from __future__ import annotations

import io
import math
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwca_export.detect.decode import Detections

# Okabe and Ito's colours, which people with any colour vision tell apart, but for black.
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
LEAST_SIDE = 480
# A strip of a few pixels is not enlarged beyond this, or its picture would take gigabytes.
LARGEST_SIDE = 4096
"""Images are enlarged until the shorter side has as many pixels, so that labels do not hide what they name."""
_MARGIN = 2


def require_pillow() -> None:
    """Refuse to begin what only Pillow can end.

    Raises:
        UsageError: It is not installed.
    """
    if find_spec("PIL") is None:
        raise UsageError(
            "pictures need pillow, which is not installed",
            where="pillow",
            hint="pip install pillow; with --no-pictures, .npy and .npz files of the network's own size do without",
        )


def draw(pixels: np.ndarray, found: Detections, labels: Sequence[str]) -> bytes:
    """Draw boxes with label and score over an image.

    Args:
        pixels: uint8 `(H, W, C)` with 1 to 4 channels.
        found: The boxes.
        labels: Names of the classes.

    Returns:
        A PNG file, enlarged by a whole number where the image is small.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    factor = max(1, min(math.ceil(LEAST_SIDE / min(picture.size)), LARGEST_SIDE // max(picture.size)))
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    canvas = ImageDraw.Draw(picture)
    # The best last, so that it lies on top.
    for box, score, label in reversed(list(zip(found.boxes, found.scores, found.labels, strict=True))):
        colour = COLOURS[int(label) % len(COLOURS)]
        corners = [float(side) for side in np.clip(box * factor, 0, [picture.width - 1, picture.height - 1] * 2)]
        canvas.rectangle(corners, outline=colour, width=2)
        _write(canvas, corners, f"{labels[int(label)]} {score:.2f}", colour)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def check_targets(targets: Sequence[Path], images: Sequence[Path], *, force: bool) -> None:
    """Refuse to write where something is already; nothing is written to find out.

    Args:
        targets: The files to be.
        images: Files that were read, which stay as they are.
        force: Whether older files may be replaced, other than the images.

    Raises:
        UsageError: Two pictures have one name, one is an image that was read, one is there already and no `force`, or
            something else is in the way.
    """
    kept = {_identity(image) for image in images}
    for index, target in enumerate(targets):
        if target in targets[:index]:
            raise UsageError(
                "two images have a picture of this name", where=str(target), hint="give them one by one, with --out"
            )
        if target.exists() and _identity(target) in kept:
            raise UsageError("is one of the images", where=str(target), hint="choose another --out")
        if target.exists() and (not force or not target.is_file()):
            hint = "--force replaces it, or choose another --out" if target.is_file() else "choose another --out"
            raise UsageError("exists already", where=str(target), hint=hint)


def write_all(pictures: Mapping[Path, bytes], folder: Path) -> None:
    """Write files so that each is complete or absent; none is put in its place before all are written.

    Args:
        pictures: Content of each file, all of which lie in `folder`.
        folder: Made if it is missing.

    Raises:
        UsageError: The folder does not take them.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".dwca-", dir=folder) as name:
            staged = {target: Path(name) / target.name for target in pictures}
            for target, content in pictures.items():
                staged[target].write_bytes(content)
            for target, file in staged.items():
                file.replace(target)
    except OSError as error:
        raise UsageError(
            f"the pictures cannot be written: {error.strerror}", where=str(folder), hint="choose another --out"
        ) from error


def _identity(path: Path) -> tuple[int, int]:
    """The same for all names of a file: by links, and `a.PNG` for `a.png` where case makes no difference."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _write(canvas: Any, corners: Sequence[float], text: str, colour: str) -> None:
    """Write a label on the upper edge of its box, or within where there is no room above or beside."""
    left, top, right, bottom = canvas.textbbox((0, 0), text)
    width, height = right - left + 2 * _MARGIN, bottom - top + 2 * _MARGIN
    x = max(0, min(corners[0], canvas.im.size[0] - width))
    y = corners[1] - height if corners[1] >= height else corners[1]
    canvas.rectangle([x, y, x + width, y + height], fill=colour)
    canvas.text((x + _MARGIN - left, y + _MARGIN - top), text, fill="black")
