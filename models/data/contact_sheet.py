"""Draws a contact sheet of each part of a built set: `python -m models.data.contact_sheet DIR`.

Above, one row per class, from short objects to long ones; below, scenes with the boxes of their objects.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from dwca_export.errors import UsageError
from models.command import framed
from models.data import thin_objects
from models.data.thin_objects import CLASSES, OBJECT_SIDE, PARTS, SCENE_SIDE
from models.whole_file import write_whole

if TYPE_CHECKING:
    from models.data.thin_objects import Objects, Scenes

FIGURES = Path(__file__).parents[2] / "docs" / "pages" / "figures"
_COLUMNS = 7
_NAMES = 80
_SCENE_COLUMNS = 5
_SCENE_ROWS = 1
_GAP = 2
_BOX = (255, 255, 0)


def sheet(objects: Objects, scenes: Scenes) -> Image.Image:
    """Draw a contact sheet.

    Args:
        objects: Of a part.
        scenes: Of the same part.

    Returns:
        RGB.
    """
    width = _NAMES + _COLUMNS * (OBJECT_SIDE + _GAP)
    rows = len(CLASSES) * (OBJECT_SIDE + _GAP)
    result = Image.new("RGB", (width, rows + _GAP + _SCENE_ROWS * (SCENE_SIDE + _GAP)), "white")
    pen = ImageDraw.Draw(result)
    for label, name in enumerate(CLASSES):
        top = label * (OBJECT_SIDE + _GAP)
        pen.text((_GAP, top + OBJECT_SIDE // 2), name, fill="black", anchor="lm")
        for column, index in enumerate(_by_length(objects, label)):
            result.paste(Image.fromarray(objects.images[index]), (_NAMES + column * (OBJECT_SIDE + _GAP), top))
    for number in range(min(_SCENE_COLUMNS * _SCENE_ROWS, len(scenes.images))):
        row, column = divmod(number, _SCENE_COLUMNS)
        place = (_GAP + column * (SCENE_SIDE + _GAP), rows + _GAP + row * (SCENE_SIDE + _GAP))
        result.paste(_with_boxes(scenes, number), place)
    return result


def _by_length(objects: Objects, label: int) -> list[int]:
    """Choose images of a class, evenly from the shortest object to the longest."""
    of_class = np.flatnonzero(objects.labels == label)
    of_class = of_class[np.argsort(objects.lengths[of_class], kind="stable")]
    chosen = np.linspace(0, len(of_class) - 1, min(_COLUMNS, len(of_class))).round().astype(int)
    return [int(index) for index in of_class[chosen]]


def _with_boxes(scenes: Scenes, number: int) -> Image.Image:
    image = Image.fromarray(scenes.images[number])
    pen = ImageDraw.Draw(image)
    for x0, y0, x1, y1 in scenes.boxes[scenes.scene == number].tolist():
        pen.rectangle((round(x0) - 1, round(y0) - 1, round(x1), round(y1)), outline=_BOX)
    return image


def write(directory: Path | None, out: Path) -> list[Path]:
    """Write `data-PART.png` for each part.

    Args:
        directory: Folder of the built set, by default `thin_objects.default_directory()`.
        out: Folder of the figures.

    Returns:
        The files.

    Raises:
        UsageError: A file cannot be written.
        InputRefusedError: The set is absent or damaged.
    """
    sheets = {
        out / f"data-{part}.png": sheet(
            thin_objects.load_objects(directory, part), thin_objects.load_scenes(directory, part)
        )
        for part in PARTS
    }
    try:
        for file, image in sheets.items():
            _write(file, image)
    except OSError as error:
        hint = "choose another --out"
        raise UsageError(f"cannot be written ({error.strerror or error})", where=str(out), hint=hint) from error
    return list(sheets)


def _write(file: Path, image: Image.Image) -> None:
    """Write a sheet whole, or leave the older one as it is."""
    packed = io.BytesIO()
    # A palette, to keep a sheet below 200 kB; the method that is kindest to rare colours.
    image.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    write_whole(file, packed.getvalue())


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    for file in write(options.directory, options.out):
        print(f"wrote {file}, {file.stat().st_size / 1000:.0f} kB")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.data.contact_sheet", description=__doc__)
    default = thin_objects.default_directory()
    parser.add_argument("directory", type=Path, nargs="?", default=default, help="the built set (%(default)s)")
    parser.add_argument("--out", type=Path, default=FIGURES, help="folder of the figures (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
