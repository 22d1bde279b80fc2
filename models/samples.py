"""The first test images, committed so that tests and demo need no data package.

`python -m models.samples` writes them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.data import fashion

FILE = Path(__file__).parent / "zoo" / "fashion_samples.npz"
COUNT = 128


def load(file: Path = FILE) -> fashion.Split:
    """Read the sample file.

    Args:
        file: An `.npz` with the arrays `images` and `labels`.

    Returns:
        The first 128 images of Fashion-MNIST's test split, in its order.
    """
    with np.load(file) as arrays:
        return fashion.Split(arrays["images"], arrays["labels"])


def first(test: fashion.Split) -> fashion.Split:
    """Take the samples from the whole test split.

    Args:
        test: The test split.

    Returns:
        Its first 128 images.
    """
    return fashion.Split(test.images[:COUNT], test.labels[:COUNT])


if __name__ == "__main__":
    samples = first(fashion.load().test)
    np.savez_compressed(FILE, images=samples.images, labels=samples.labels)
