"""A small set of drawn polygons in the format of the real one, without download: for tests and a first try.

`python -m models.data.shapes --out DIR` writes it. Every class is one and the same outline, large and bright before a
dark background: what a network learns from them says nothing about the real set.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from dwca_export.errors import UsageError
from models.command import framed
from models.data.thin_objects import CLASSES, OBJECT_SIDE, PARTS, SCENE_SIDE, Bytes, Objects, Scenes
from models.data.write_set import check_target, write_set

if TYPE_CHECKING:
    from collections.abc import Sequence

Outline = tuple[tuple[float, float], ...]

# Along x from -1 (handle) to 1 (tip), y in the same unit; several outlines of a class lie on each other.
OUTLINES: dict[str, tuple[Outline, ...]] = {
    "knife": (
        ((-1, -0.1), (0, -0.1), (0, 0.1), (-1, 0.1)),
        ((0, -0.14), (0.75, -0.14), (1, 0.14), (0, 0.14)),
    ),
    "flashlight": (
        ((-1, -0.14), (0.4, -0.14), (0.4, 0.14), (-1, 0.14)),
        ((0.4, -0.14), (0.7, -0.34), (1, -0.34), (1, 0.34), (0.7, 0.34), (0.4, 0.14)),
    ),
    "baton": (((-1, -0.1), (1, -0.1), (1, 0.1), (-1, 0.1)),),
    "sword": (
        ((-1, -0.07), (-0.5, -0.07), (-0.5, 0.07), (-1, 0.07)),
        ((-0.6, -0.35), (-0.45, -0.35), (-0.45, 0.35), (-0.6, 0.35)),
        ((-0.5, -0.12), (0.8, -0.12), (1, 0), (0.8, 0.12), (-0.5, 0.12)),
    ),
    "screwdriver": (
        ((-1, -0.2), (-0.1, -0.2), (-0.1, 0.2), (-1, 0.2)),
        ((-0.1, -0.05), (0.9, -0.05), (1, -0.1), (1, 0.1), (0.9, 0.05), (-0.1, 0.05)),
    ),
    "axe": (
        ((-1, -0.08), (1, -0.08), (1, 0.08), (-1, 0.08)),
        ((0.5, 0), (0.3, 0.55), (1, 0.55), (0.85, 0)),
    ),
    "hammer": (
        ((-1, -0.1), (0.7, -0.1), (0.7, 0.1), (-1, 0.1)),
        ((0.6, -0.45), (1, -0.45), (1, 0.45), (0.6, 0.45)),
    ),
    "wrench": (
        ((-1, -0.12), (0.6, -0.12), (0.6, 0.12), (-1, 0.12)),
        ((0.5, -0.3), (1, -0.35), (0.95, -0.12), (0.75, 0), (0.95, 0.12), (1, 0.35), (0.5, 0.3)),
    ),
    "syringe": (
        ((-1, -0.25), (-0.9, -0.25), (-0.9, 0.25), (-1, 0.25)),
        ((-0.9, -0.04), (-0.4, -0.04), (-0.4, 0.04), (-0.9, 0.04)),
        ((-0.4, -0.18), (0.5, -0.18), (0.5, 0.18), (-0.4, 0.18)),
        ((0.5, -0.03), (1, -0.03), (1, 0.03), (0.5, 0.03)),
    ),
    "pencil": (
        ((-1, -0.13), (0.6, -0.13), (0.6, 0.13), (-1, 0.13)),
        ((0.6, -0.13), (1, 0), (0.6, 0.13)),
    ),
    "pen": (
        ((-1, -0.1), (0.2, -0.1), (0.8, -0.03), (1, 0), (0.8, 0.03), (0.2, 0.1), (-1, 0.1)),
        ((-1, 0.1), (-0.3, 0.25), (-0.3, 0.17), (-0.9, 0.1)),
    ),
}
# The upper part of the real set's range: what is drawn here should be easy to learn.
_LENGTHS = (20.0, 40.0)
_SUPERSAMPLING = 4
_MOST_OBJECTS = 4
# More would not fit into memory.
_MOST_IMAGES = 100_000
_TRIES = 20
_SHARES = {"train": 1.0, "validation": 0.25, "test": 0.5}


def write(
    directory: Path, objects: int = 220, scenes: int = 40, seed: int = 0, *, force: bool = False
) -> dict[str, Any]:
    """Draw the set and write it.

    Args:
        directory: Where the set goes.
        objects: Images of one object in the training part; validation has a quarter, test half as many.
        scenes: Images of several objects in the training part; the other parts likewise.
        seed: The same seed, the same bytes.
        force: Whether an older set may be replaced.

    Returns:
        What `dataset.json` says.

    Raises:
        UsageError: A count is not positive or too large, there is an older set and no `force`, or the folder cannot be
            written.
    """
    if objects < 1 or scenes < 1 or seed < 0:
        raise UsageError("a set has at least one object and one scene, and a seed of 0 or more")
    if max(objects, scenes) > _MOST_IMAGES:
        raise UsageError(f"a set has at most {_MOST_IMAGES} objects and {_MOST_IMAGES} scenes in its training part")
    check_target(directory, force=force)
    drawn_objects, drawn_scenes = {}, {}
    for number, part in enumerate(PARTS):
        generator = np.random.default_rng((seed, number))
        drawn_objects[part] = _objects(math.ceil(objects * _SHARES[part]), generator)
        drawn_scenes[part] = _scenes(math.ceil(scenes * _SHARES[part]), generator)
    about = {
        "name": "generated-shapes",
        "seed": seed,
        "icons": [f"shapes:{name}" for name in CLASSES],
        "packages": {},
        "credits": [],
    }
    return write_set(directory, drawn_objects, drawn_scenes, about, force=force)


def _objects(count: int, generator: np.random.Generator) -> Objects:
    labels = generator.permutation(np.arange(count) % len(CLASSES))
    lengths = generator.uniform(*_LENGTHS, count)
    images = np.empty((count, OBJECT_SIDE, OBJECT_SIDE, 3), np.uint8)
    for image, label, length in zip(images, labels, lengths, strict=True):
        canvas = _background(OBJECT_SIDE, generator)
        room = (OBJECT_SIDE - length) / 2
        centre = OBJECT_SIDE / 2 + generator.uniform(-room, room, 2)
        _draw(canvas, OUTLINES[CLASSES[label]], length, centre, generator)
        image[:] = _finished(canvas, OBJECT_SIDE, generator)
    return Objects(images, labels.astype(np.uint8), lengths.astype(np.float32), labels.astype(np.int32))


def _scenes(count: int, generator: np.random.Generator) -> Scenes:
    images = np.empty((count, SCENE_SIDE, SCENE_SIDE, 3), np.uint8)
    boxes: list[npt.NDArray[np.float64]] = []
    labels, scene, lengths = [], [], []
    for number in range(count):
        canvas = _background(SCENE_SIDE, generator)
        taken: list[npt.NDArray[np.float64]] = []
        for _ in range(generator.integers(1, _MOST_OBJECTS + 1)):
            length = generator.uniform(*_LENGTHS)
            centre = _free_place(length, taken, generator)
            if centre is None:
                continue
            label = int(generator.integers(len(CLASSES)))
            taken.append(np.array((*centre, length)))
            boxes.append(_draw(canvas, OUTLINES[CLASSES[label]], length, centre, generator))
            labels.append(label)
            scene.append(number)
            lengths.append(length)
        images[number] = _finished(canvas, SCENE_SIDE, generator)
    return Scenes(
        images,
        np.clip(np.array(boxes), 0, SCENE_SIDE).astype(np.float32),
        np.array(labels, np.uint8),
        np.array(scene, np.int32),
        np.array(lengths, np.float32),
    )


def _free_place(
    length: float, taken: Sequence[npt.NDArray[np.float64]], generator: np.random.Generator
) -> npt.NDArray[np.float64] | None:
    """Find a centre for an object, such that the circle around it meets no other; None where there is no room."""
    for _ in range(_TRIES):
        centre = generator.uniform(length / 2, SCENE_SIDE - length / 2, 2)
        if all(np.hypot(*(centre - other[:2])) > (length + other[2]) / 2 for other in taken):
            return np.asarray(centre)
    return None


def _background(side: int, generator: np.random.Generator) -> Image.Image:
    """Four darker patches of colour, blended into each other."""
    corners = generator.integers(20, 110, (2, 2, 3), np.uint8)
    return Image.fromarray(corners).resize((side * _SUPERSAMPLING,) * 2, Image.Resampling.BILINEAR)


def _draw(
    canvas: Image.Image,
    outlines: Sequence[Outline],
    length: float,
    centre: npt.NDArray[np.float64],
    generator: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Draw an object in a bright colour, turned at random.

    Args:
        canvas: What to draw on, supersampled.
        outlines: The object, from -1 to 1.
        length: Its length in pixels of the finished image.
        centre: Where it goes, in the same pixels.
        generator: Source of colour and angle.

    Returns:
        `(4,)` x0, y0, x1, y1 of its box in pixels of the finished image.
    """
    angle = generator.uniform(0, 2 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    colour = tuple(int(value) for value in generator.integers(140, 256, 3))
    pen = ImageDraw.Draw(canvas)
    corners = [np.array(outline) @ turn * (length / 2) + centre for outline in outlines]
    for polygon in corners:
        pen.polygon([(x * _SUPERSAMPLING, y * _SUPERSAMPLING) for x, y in polygon], fill=colour)
    points = np.concatenate(corners)
    return np.concatenate((points.min(0), points.max(0)))


def _finished(canvas: Image.Image, side: int, generator: np.random.Generator) -> Bytes:
    small = np.asarray(canvas.resize((side, side), Image.Resampling.BOX), np.float64)
    return np.clip(np.rint(small + generator.normal(0, 4, small.shape)), 0, 255).astype(np.uint8)


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    write(options.out, options.objects, options.scenes, options.seed, force=options.force)
    print(f"wrote {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.data.shapes", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the set")
    parser.add_argument("--objects", type=int, default=220, help="objects of the training part (%(default)s)")
    parser.add_argument("--scenes", type=int, default=40, help="scenes of the training part (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--force", action="store_true", help="replace an older set")
    return parser


if __name__ == "__main__":
    sys.exit(main())
