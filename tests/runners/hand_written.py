"""ncnn networks of a few lines, written as files."""

from __future__ import annotations

import numpy as np

from dwca_export.artifacts import TensorSpec
from dwca_export.runners.child import Job

INPUT = TensorSpec("x", (1, 2, 3, 4))
OUTPUT = TensorSpec("y", (1, 1, 3, 4))

# A 1x1 convolution of two channels to one, with the weights 1 and 1 / 3: fp16 cannot hold a third.
CONVOLUTION = "Convolution conv 1 1 in0 out0 0=1 1=1 5=0 6=2"
WEIGHTS = np.array([1, 1 / 3], np.float32)


def network(folder, *layers, weights=WEIGHTS, name="net"):
    """Write param and bin; returns their paths. By default the convolution."""
    lines = ["Input in0 0 1 in0", *(layers or [CONVOLUTION])]
    blobs = set()
    for line in lines:
        _, _, bottoms, tops, *names = line.split()
        blobs.update(names[: int(bottoms) + int(tops)])
    param, data = folder / f"{name}.param", folder / f"{name}.bin"
    param.write_text("\n".join(["7767517", f"{len(lines)} {len(blobs)}", *lines]) + "\n")
    data.write_bytes(b"" if weights is None else np.zeros(1, "<i4").tobytes() + np.asarray(weights, "<f4").tobytes())
    return param, data


def job(name, files, **options):
    options = {"inputs": (INPUT,), "outputs": (OUTPUT,), **options}
    return Job(name, str(files[0]), str(files[1]), **options)


def feed(*shape, seed=0):
    return {"x": np.random.default_rng(seed).standard_normal(shape or INPUT.shape, np.float32)}


def expected(sample):
    return sample["x"][:, :1] + sample["x"][:, 1:] * np.float32(1 / 3)
