"""Test images beside the trained networks, committed so that tests, demo and `zoo:NAME` need no data package.

`python -m models.samples fashion` and `python -m models.samples thin` write them from the data sets, and the latter the
credits of all that the thin objects were made from.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import UsageError
from models.command import framed
from models.data import fashion, thin_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

ZOO = Path(__file__).parent / "zoo"
LICENCES = Path(__file__).parent / "data/licences"
"""Their texts, by the names that SPDX gives them: short ones in full, the others by their official address."""
FASHION = "fashion_samples.npz"
OBJECTS = "thin_objects_samples.npz"
SCENES = "thin_scenes_samples.npz"
CREDITS = "thin_objects.credits.txt"
COUNT = 128
"""Images of Fashion-MNIST."""

THIN_COUNT = 32
"""Images of thin objects, and scenes of them."""


def load(file: Path = ZOO / FASHION) -> fashion.Split:
    """Read the samples of Fashion-MNIST.

    Args:
        file: An `.npz` with the arrays `images` and `labels`.

    Returns:
        The first 128 images of Fashion-MNIST's test split, in its order.
    """
    with np.load(file) as arrays:
        return fashion.Split(arrays["images"], arrays["labels"])


def load_objects(file: Path = ZOO / OBJECTS) -> thin_objects.Objects:
    """Read the samples of the thin objects; see `pick_objects`."""
    with np.load(file) as arrays:
        return thin_objects.Objects(**arrays)


def load_scenes(file: Path = ZOO / SCENES) -> thin_objects.Scenes:
    """Read the samples of the scenes; see `pick_scenes`."""
    with np.load(file) as arrays:
        return thin_objects.Scenes(**arrays)


def first(test: fashion.Split) -> fashion.Split:
    """Take the samples from the whole test split.

    Args:
        test: The test split.

    Returns:
        Its first 128 images.
    """
    return fashion.Split(test.images[:COUNT], test.labels[:COUNT])


def spread(count: int) -> npt.NDArray[np.int64]:
    """Choose the samples of a test part: 32 at equal distances, so that none is chosen for what it shows.

    Args:
        count: Images of the part.

    Returns:
        int64 `(32,)`, their indices in ascending order; all of them where there are no more.
    """
    return np.unique(np.linspace(0, count - 1, min(count, THIN_COUNT)).round().astype(np.int64))


def pick_objects(test: thin_objects.Objects) -> thin_objects.Objects:
    """Take the samples from the test part of the objects."""
    chosen = spread(len(test.images))
    return thin_objects.Objects(**{name: array[chosen] for name, array in vars(test).items()})


def pick_scenes(test: thin_objects.Scenes) -> thin_objects.Scenes:
    """Take the samples from the test part of the scenes; `scene` counts the images that are taken."""
    chosen = spread(len(test.images))
    of_them = np.isin(test.scene, chosen)
    return thin_objects.Scenes(
        test.images[chosen],
        test.boxes[of_them],
        test.labels[of_them],
        np.searchsorted(chosen, test.scene[of_them]).astype(np.int32),
        test.lengths[of_them],
    )


def write_fashion(directory: Path | None, out: Path) -> None:
    """Write the samples of Fashion-MNIST.

    Args:
        directory: Folder of the data; None for the usual one.
        out: Folder of the zoo.

    Raises:
        InputRefusedError: The data are absent or damaged.
        UsageError: The zoo cannot be written.
    """
    split = first(fashion.load(directory).test)
    with _replaced_in(out) as new:
        np.savez_compressed(new / FASHION, **vars(split))


def write_thin(directory: Path | None, out: Path) -> None:
    """Write the samples of objects and scenes, and the credits.

    Args:
        directory: Folder of the built set; None for the usual one.
        out: Folder of the zoo.

    Raises:
        InputRefusedError: The set is absent or damaged.
        UsageError: The zoo cannot be written.
    """
    objects = pick_objects(thin_objects.load_objects(directory, "test"))
    scenes = pick_scenes(thin_objects.load_scenes(directory, "test"))
    description = thin_objects.describe(directory)
    text = credits_text(description, objects)
    with _replaced_in(out) as new:
        np.savez_compressed(new / OBJECTS, **vars(objects))
        np.savez_compressed(new / SCENES, **vars(scenes))
        (new / CREDITS).write_text(text, encoding="utf-8")


def credits_text(description: Mapping[str, Any], objects: thin_objects.Objects) -> str:
    """Say whose drawings and photographs are in the samples, and what the thin objects' networks were trained on.

    Args:
        description: `dataset.json`.
        objects: The samples of objects.
    """
    shown = sorted({description["icons"][index] for index in objects.icons})
    lines = [
        f"The data set {description['name']}, on which the networks thin_objects_* and thin_detector_* were trained,",
        f"was made from what is listed below. {OBJECTS} shows {len(shown)} of its drawings, reduced, turned and",
        f"placed on photographs; {SCENES} shows others of the same sets in the same way.",
        "",
        f"Drawings in {OBJECTS} (set:name):",
        *(f"  {name}" for name in shown),
        "",
        "Icon sets and photographs (those that scikit-image ships), each with its licence:",
        *map(_credit_line, description["credits"]),
        "",
        "MIT, ISC, BSD-3-Clause and Apache-2.0 ask that the notice of the author and the licence are kept; CC0-1.0,",
        "the Unlicense and the public domain ask for nothing. Where a text below says <author>, it is each author that",
        "is named above with that licence.",
        "",
        *_texts(description["credits"]),
    ]
    return "\n".join(lines) + "\n"


def _texts(credited: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Give the text of each licence once; what is in the public domain has none."""
    named = {credit["credit"].rpartition("; ")[2] if "credit" in credit else credit["licence"] for credit in credited}
    for file in sorted(LICENCES.glob("*.txt")):
        if file.stem in named:
            yield f"----- {file.stem} -----\n\n{file.read_text(encoding='utf-8')}"


def _credit_line(credit: Mapping[str, Any]) -> str:
    if "credit" in credit:
        return f"  {credit['file']}: {credit['credit']}"
    return (
        f"  {credit['prefix']} ({credit['name']}) by {credit['author']}: {credit['licence']} {credit['url']}".rstrip()
    )


@contextlib.contextmanager
def _replaced_in(out: Path) -> Iterator[Path]:
    """A folder for new files; they replace those of `out` only once all of them are written."""
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=".samples-") as folder:
            yield Path(folder)
            for new in sorted(Path(folder).iterdir()):
                new.replace(out / new.name)
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise UsageError(what, where=str(error.filename or out), hint="--out names another folder") from error


_WRITERS = {"fashion": write_fashion, "thin": write_thin}


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    if not options.out.is_dir():
        raise UsageError("there is no such folder", where=str(options.out), hint="--out names the zoo's")
    _WRITERS[options.which](options.data, options.out)
    print(f"wrote {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.samples", description=__doc__)
    parser.add_argument("which", choices=tuple(_WRITERS), help="of which data set")
    parser.add_argument("--data", type=Path, help="folder of the data set (else the usual one)")
    parser.add_argument("--out", type=Path, default=ZOO, help="folder of the zoo (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
