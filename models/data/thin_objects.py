"""The data set of thin look-alike objects as `models.data.build` (or `models.data.shapes`) wrote it: read and checked.

A built set is a folder: `dataset.json` describes it and holds the SHA-256 of the other files, which are
`objects-PART.npz` (one object per image, to classify) and `scenes-PART.npz` (one to four per image, to detect) for the
parts train, validation and test.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwca_export.errors import InputRefusedError, UsageError

ENVIRONMENT_VARIABLE = "DWCA_THIN_OBJECTS"
DIRECTORY = Path("~/.cache/dwca-export/thin-objects")
SCHEMA = 1
NAMES = ("thin-objects", "generated-shapes")
PARTS = ("train", "validation", "test")
CLASSES = (
    "knife",
    "flashlight",
    "baton",
    "sword",
    "screwdriver",
    "axe",
    "hammer",
    "wrench",
    "syringe",
    "pencil",
    "pen",
)
# The classes that the published comparison is about: long, thin and easily taken for each other.
LOOKALIKES = ("knife", "baton", "flashlight", "sword", "screwdriver")
OBJECT_SIDE = 64
SCENE_SIDE = 96
# Of images scaled to 0..1, each channel alike: photographs, so that the middle of the range serves.
MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
DESCRIPTION = "dataset.json"

_BUILD = (
    "`python -m models.data.build` builds it (`python -m models.data.shapes --out DIR` writes a small one without "
    f"network); {ENVIRONMENT_VARIABLE} names another folder"
)
_REBUILD = "the set is damaged or of another version: `python -m models.data.build --force` builds it anew"
_READ_BLOCK = 1 << 20
_OF_A_PHOTOGRAPH = {"file", "credit"}
_OF_AN_ICON_SET = {"prefix", "name", "author", "licence", "url"}

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Objects:
    """Images of one object each, all classes equally often.

    Attributes:
        images: uint8 `(N, 64, 64, 3)`, RGB.
        labels: uint8 `(N,)`, indices into `CLASSES`.
        lengths: float32 `(N,)`, longest side of the oriented object in pixels.
        icons: int32 `(N,)`, indices into `icons` of `dataset.json`.
    """

    images: Bytes
    labels: Bytes
    lengths: Floats
    icons: Integers


@dataclass(frozen=True)
class Scenes:
    """Images of several objects each, with a box around every object.

    Attributes:
        images: uint8 `(N, 96, 96, 3)`, RGB.
        boxes: float32 `(M, 4)`, x0, y0, x1, y1 in pixels.
        labels: uint8 `(M,)`, indices into `CLASSES`.
        scene: int32 `(M,)`, which image each box lies in, in ascending order.
        lengths: float32 `(M,)`, longest side of the oriented object in pixels.
    """

    images: Bytes
    boxes: Floats
    labels: Bytes
    scene: Integers
    lengths: Floats


def default_directory() -> Path:
    """Name the folder of the built set: that of `DWCA_THIN_OBJECTS`, else one in the user's cache."""
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or DIRECTORY).expanduser()


def objects_file(part: str) -> str:
    """Name the file of one part's objects."""
    return f"objects-{part}.npz"


def scenes_file(part: str) -> str:
    """Name the file of one part's scenes."""
    return f"scenes-{part}.npz"


def class_index(name: str) -> int:
    """Look up a class.

    Args:
        name: One of `CLASSES`.

    Returns:
        Its label.

    Raises:
        UsageError: There is no such class.
    """
    if name not in CLASSES:
        raise UsageError(f"{name!r} is not a class of this data set", hint=f"the classes are {', '.join(CLASSES)}")
    return CLASSES.index(name)


def load_objects(directory: Path | None, part: str) -> Objects:
    """Read the objects of one part.

    Args:
        directory: Folder of the built set, by default `default_directory()`.
        part: train, validation or test.

    Returns:
        Images and labels in the order of the file.

    Raises:
        UsageError: There is no such part.
        InputRefusedError: The set is absent or damaged: a hash differs, an array is missing, of another type or shape,
            or holds values that cannot be.
    """
    directory, description = _described(directory, part)
    file = directory / objects_file(part)
    arrays = _read(file, description, ("images", "labels", "lengths", "icons"))
    n = len(arrays["images"])
    _require(file, arrays["images"], "images", np.uint8, (n, OBJECT_SIDE, OBJECT_SIDE, 3))
    _check_labels(file, arrays, n)
    _require(file, arrays["icons"], "icons", np.int32, (n,))
    if n and not 0 <= arrays["icons"].min() <= arrays["icons"].max() < len(description["icons"]):
        raise _damaged(file, f"icons: not all are among the {len(description['icons'])} that {DESCRIPTION} lists")
    return Objects(**arrays)


def load_scenes(directory: Path | None, part: str) -> Scenes:
    """Read the scenes of one part.

    Args:
        directory: Folder of the built set, by default `default_directory()`.
        part: train, validation or test.

    Returns:
        Images and boxes in the order of the file.

    Raises:
        UsageError: There is no such part.
        InputRefusedError: As `load_objects`; or a box is empty or leaves its image.
    """
    directory, description = _described(directory, part)
    file = directory / scenes_file(part)
    arrays = _read(file, description, ("images", "boxes", "labels", "scene", "lengths"))
    n, m = len(arrays["images"]), len(arrays["boxes"])
    _require(file, arrays["images"], "images", np.uint8, (n, SCENE_SIDE, SCENE_SIDE, 3))
    _check_labels(file, arrays, m)
    _require(file, arrays["scene"], "scene", np.int32, (m,))
    if m and not 0 <= arrays["scene"].min() <= arrays["scene"].max() < n:
        raise _damaged(file, f"scene: not all are among the {n} images")
    if (np.diff(arrays["scene"]) < 0).any():
        raise _damaged(file, "scene: not in ascending order")
    boxes = arrays["boxes"]
    _require(file, boxes, "boxes", np.float32, (m, 4))
    if not ((boxes >= 0).all() and (boxes <= SCENE_SIDE).all() and (boxes[:, 2:] > boxes[:, :2]).all()):
        raise _damaged(file, "boxes: one is empty or leaves its image")
    return Scenes(**arrays)


def dataset_sha256(directory: Path | None) -> str:
    """Name the exact data: two sets with this hash in common have all images and labels in common.

    Args:
        directory: Folder of the built set, by default `default_directory()`.

    Returns:
        SHA-256 of what `dataset.json` says of classes, icons and the hashes of the arrays; credits and the versions
        of the tools that built the set have no part in it.

    Raises:
        InputRefusedError: There is no set, or its description cannot be read.
    """
    description = describe(directory)
    data = {key: description[key] for key in ("classes", "icons", "sha256")}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def describe(directory: Path | None) -> dict[str, Any]:
    """Read `dataset.json`.

    Args:
        directory: Folder of the built set, by default `default_directory()`.

    Returns:
        What it says: schema, name, classes, seed, sha256, icons, parts, packages, credits.

    Raises:
        InputRefusedError: There is no set, or its description is damaged, of another version or of other classes.
    """
    file = (directory or default_directory()) / DESCRIPTION
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputRefusedError("there is no built data set", where=str(file.parent), hint=_BUILD) from None
    except (ValueError, OSError) as error:
        raise _damaged(file, f"it cannot be read ({error})") from error
    if not isinstance(description, dict) or description.get("schema") != SCHEMA:
        raise _damaged(file, f"it is not of schema {SCHEMA}")
    if description.get("name") not in NAMES or description.get("classes") != list(CLASSES):
        raise _damaged(file, f"it does not describe the data set of {', '.join(CLASSES)}")
    if not isinstance(description.get("sha256"), dict) or not isinstance(description.get("icons"), list):
        raise _damaged(file, "it lacks the hashes of its files or the list of its icons")
    if not isinstance(description.get("packages"), dict) or not _are_credits(description.get("credits")):
        raise _damaged(file, "it lacks what it was built from")
    if not _are_counts(description.get("parts")):
        raise _damaged(file, "it lacks the counts of its parts")
    return description


def normalise(images: Bytes) -> Floats:
    """Turn images into what the trained networks take.

    Args:
        images: uint8 `(N, H, W, 3)`.

    Returns:
        float32 `(N, 3, H, W)`, contiguous: scaled to 0..1, less `MEAN`, divided by `STD`.
    """
    scaled = images.astype(np.float32) / 255
    scaled = (scaled - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def file_sha256(file: Path) -> str:
    """Hash a file.

    Args:
        file: The file.

    Returns:
        Its SHA-256 in hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_READ_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _are_credits(listed: object) -> bool:
    """Whether these are icon sets and photographs as `models.data.build` credits them."""
    if not isinstance(listed, list) or not all(isinstance(credit, dict) for credit in listed):
        return False
    return all(credit.keys() >= _OF_A_PHOTOGRAPH or credit.keys() >= _OF_AN_ICON_SET for credit in listed)


def _are_counts(parts: object) -> bool:
    if not isinstance(parts, dict) or not all(isinstance(parts.get(part), dict) for part in PARTS):
        return False
    return all(isinstance(parts[part].get(kind), int) for part in PARTS for kind in ("objects", "scenes"))


def _described(directory: Path | None, part: str) -> tuple[Path, dict[str, Any]]:
    if part not in PARTS:
        raise UsageError(f"{part!r} is not a part of this data set", hint=f"the parts are {', '.join(PARTS)}")
    directory = directory or default_directory()
    return directory, describe(directory)


def _read(file: Path, description: dict[str, Any], names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of an npz file whose hash is the one that the description gives."""
    try:
        if file_sha256(file) != description["sha256"].get(file.name):
            raise _damaged(file, f"its SHA-256 is not the one in {DESCRIPTION}")
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except (OSError, KeyError, ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(file, f"it cannot be read ({error})") from error


def _check_labels(file: Path, arrays: dict[str, npt.NDArray[Any]], count: int) -> None:
    _require(file, arrays["labels"], "labels", np.uint8, (count,))
    if count and arrays["labels"].max() >= len(CLASSES):
        raise _damaged(file, f"label {arrays['labels'].max()} is not one of the {len(CLASSES)} classes")
    _require(file, arrays["lengths"], "lengths", np.float32, (count,))
    if not (arrays["lengths"] > 0).all():
        raise _damaged(file, "lengths: not all are positive")


def _require(file: Path, array: npt.NDArray[Any], name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        expected = f"{np.dtype(dtype)} {shape}"
        raise _damaged(file, f"{name}: {array.dtype} {array.shape} instead of {expected}")


def _damaged(file: Path, what: str) -> InputRefusedError:
    return InputRefusedError(what, where=str(file), hint=_REBUILD)
