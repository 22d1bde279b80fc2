"""Prints as JSON where ncnn's depthwise convolutions are wrong on this machine, in every mode: needs the base install.

Each case is one layer, compared with a sum in float64: kernel sizes 3 and 5, strides 1 and 2, channels that fill packs
of 8, of 4 and of neither, widths around the 4 columns that the kernels step by.

usage: python tests/arm_depthwise.py
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from dwca_export.artifacts import TensorSpec
from dwca_export.runners.ncnn import MODES, NcnnRunner

HEIGHT = 7
# Largest error over the largest value. Input, weights and result are rounded, in fp16 arithmetic each of 25 sums too:
# about ten times the unit round-off of 6e-8, 5e-4 and 4e-3. A wrong pixel errs by a tenth and more.
LIMITS = {"fp32": 2e-6, "fp16-storage": 5e-3, "fp16-arithmetic": 5e-3, "bf16-storage": 4e-2}
PARAM = """7767517
2 2
Input input 0 1 in0
ConvolutionDepthWise layer 1 1 in0 out0 0={c} 1={k} 3={s} 4={p} 6={weights} 7={c}
"""


def depthwise(x: np.ndarray, weights: np.ndarray, stride: int) -> np.ndarray:
    """Sum of products in float64: x (C, H, W), weights (C, k, k), padding k // 2."""
    k = weights.shape[-1]
    pad = k // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad))).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("chwij,cij->chw", windows, weights.astype(np.float64))


def wrong_columns(x: np.ndarray, weights: np.ndarray, stride: int, mode: str, folder: Path) -> list[int]:
    """Output columns in which ncnn is wrong."""
    c, k = weights.shape[:2]
    (folder / "bin").write_bytes(bytes(4) + weights.tobytes())
    (folder / "param").write_text(PARAM.format(c=c, k=k, s=stride, p=k // 2, weights=weights.size))
    wanted = depthwise(x, weights, stride)
    specs = [TensorSpec(name, (1, *array.shape), "float32") for name, array in (("x", x), ("y", wanted))]
    with NcnnRunner(folder / "param", folder / "bin", specs[:1], specs[1:], mode=mode) as runner:
        found = runner.infer({"x": x[np.newaxis]})["y"][0]
    errors = np.abs(found - wanted).max(axis=(0, 1)) / np.abs(wanted).max()
    return [int(column) for column in np.flatnonzero(~(errors < LIMITS[mode]))]


def main() -> None:
    """Try every case and print the wrong ones."""
    rng = np.random.default_rng(0)
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for k, stride, c, width, mode in itertools.product((3, 5), (1, 2), (6, 8, 12), range(5, 17), MODES):
            x, weights = (rng.standard_normal(shape).astype(np.float32) for shape in ((c, HEIGHT, width), (c, k, k)))
            columns = wrong_columns(x, weights, stride, mode, Path(folder))
            if columns:
                wrong.append([k, stride, c, (width - 1) // stride + 1, mode, columns])
    json.dump(wrong, sys.stdout)


main()
