"""Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017; MIT licence) from the IDX files of Debian's `dataset-fashion-mnist`."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwca_export.errors import InputRefusedError

DIRECTORY = Path("/usr/share/datasets/fashion-mnist")
ENVIRONMENT_VARIABLE = "DWCA_FASHION_MNIST"
LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SIDE = 28
# Of the training images scaled to 0..1: the mean is 0.28604, the standard deviation 0.35302.
MEAN = 0.286
STD = 0.353
TRAIN_IMAGES = 60_000
TEST_IMAGES = 10_000

_INSTALL = (
    f"apt-get install dataset-fashion-mnist puts them into {DIRECTORY}; "
    f"--data or {ENVIRONMENT_VARIABLE} names another folder"
)
_REINSTALL = "apt-get install --reinstall dataset-fashion-mnist brings back the original"
# The IDX magic is two zero bytes, the type (8: unsigned byte) and the number of dimensions.
_UNSIGNED_BYTE = 8

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        images: uint8 `(N, 28, 28)`, 0 is background.
        labels: uint8 `(N,)`, indices into `LABELS`.
    """

    images: Bytes
    labels: Bytes


@dataclass(frozen=True)
class FashionMnist:
    """The training split and the test split, each in the order of its file."""

    train: Split
    test: Split


def load(directory: Path | None = None) -> FashionMnist:
    """Read both splits.

    Args:
        directory: Folder of the four `.gz` files; by default that of the environment variable `DWCA_FASHION_MNIST`,
            else where Debian's package puts them.

    Returns:
        60,000 images for training and 10,000 for testing.

    Raises:
        InputRefusedError: A file is absent, is no gzip or IDX file, or holds another number or kind of values.
    """
    directory = directory or Path(os.environ.get(ENVIRONMENT_VARIABLE) or DIRECTORY)
    return FashionMnist(
        train=_read_split(directory, "train", TRAIN_IMAGES), test=_read_split(directory, "t10k", TEST_IMAGES)
    )


def normalise(images: Bytes) -> npt.NDArray[np.float32]:
    """Turn images into what the trained networks take.

    Args:
        images: uint8 `(N, 28, 28)`.

    Returns:
        float32 `(N, 1, 28, 28)`: scaled to 0..1, less `MEAN`, divided by `STD`.
    """
    scaled = images[:, np.newaxis].astype(np.float32) / 255
    return np.asarray((scaled - MEAN) / STD, np.float32)


def _read_split(directory: Path, stem: str, count: int) -> Split:
    labels_file = directory / f"{stem}-labels-idx1-ubyte.gz"
    images = read_idx(directory / f"{stem}-images-idx3-ubyte.gz", (count, SIDE, SIDE))
    labels = read_idx(labels_file, (count,))
    if labels.max() >= len(LABELS):
        raise InputRefusedError(
            f"label {labels.max()} is not one of the {len(LABELS)} classes", where=str(labels_file), hint=_REINSTALL
        )
    return Split(images, labels)


def read_idx(file: Path, shape: tuple[int, ...]) -> Bytes:
    """Read a gzipped IDX file of unsigned bytes (format: the description at the end of LeCun's MNIST page).

    Args:
        file: The file.
        shape: The dimensions that it has to have.

    Returns:
        uint8 array of that shape.

    Raises:
        InputRefusedError: The file is absent, is no gzip or IDX file, or holds another number or kind of values.
    """
    content = _decompress(file)
    header = struct.Struct(f">HBB{len(shape)}I")
    expected = (0, _UNSIGNED_BYTE, len(shape), *shape)
    found = header.unpack_from(content) if len(content) >= header.size else ()
    if found[:3] != expected[:3]:
        raise _refused(file, f"it does not begin as an IDX file of unsigned bytes in {len(shape)} dimensions does")
    if found != expected:
        raise _refused(file, f"it says that it holds {_dims(found[3:])} values instead of {_dims(shape)}")
    values = len(content) - header.size
    if values != math.prod(shape):
        raise _refused(file, f"it holds {values} values instead of {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(shape)


def _decompress(file: Path) -> bytes:
    try:
        return gzip.decompress(file.read_bytes())
    except FileNotFoundError:
        raise InputRefusedError("this file of Fashion-MNIST is not there", where=str(file), hint=_INSTALL) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _refused(file, f"it is not a complete gzip file ({error})") from error
    except OSError as error:
        raise InputRefusedError(f"it cannot be read ({error.strerror})", where=str(file), hint=_INSTALL) from error


def _refused(file: Path, what: str) -> InputRefusedError:
    return InputRefusedError(what, where=str(file), hint=_REINSTALL)


def _dims(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)
