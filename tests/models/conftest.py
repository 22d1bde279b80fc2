from __future__ import annotations

import gzip
import signal
import struct

import numpy as np
import pytest
import torch

from models.data.fashion import FashionMnist, Split


def write_idx(path, array, kind=8):
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), 1))
    return path


def stripes(count, seed=0):
    """Images of ten kinds that a tiny network tells apart: a bright band at one of ten heights, and noise."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 64, (count, 28, 28), np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    for row in range(4):
        images[np.arange(count), labels * 2 + 4 + row % 2] = 255
    return Split(images, labels)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny steps on several threads spend their time waiting for each other as soon as the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def idx_file():
    return write_idx


@pytest.fixture
def generated():
    return FashionMnist(train=stripes(256), test=stripes(200, seed=1))


@pytest.fixture(scope="session")
def idx_folder(tmp_path_factory):
    """The four files, at full size and with generated content; tests copy what they want to damage."""
    folder = tmp_path_factory.mktemp("idx")
    for stem, count in (("train", 60_000), ("t10k", 10_000)):
        split = stripes(1000)
        repeats = count // 1000
        images = np.tile(split.images, (repeats, 1, 1))
        labels = np.tile(split.labels, repeats)
        for name, array in ((f"{stem}-images-idx3-ubyte", images), (f"{stem}-labels-idx1-ubyte", labels)):
            write_idx(folder / f"{name}.gz", array)
    return folder


@pytest.fixture
def from_a_terminal():
    """As a terminal starts commands: whoever runs the tests in the background has some signals ignored."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
