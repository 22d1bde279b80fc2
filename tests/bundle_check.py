"""Checks a bundle against eager torch through ncnn's own Python API, without the package's runners and measures."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import ncnn
import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

# A channel that is smaller than this share of the largest one is measured against the share: its own size is rounding.
_SMALLEST_CHANNEL = 1e-3


def noise(shape: Sequence[int], seed: int = 99) -> np.ndarray:
    """Uniform in [-1, 1): other data than the pipeline proves parity on."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def run_bundle(bundle: Path, array: np.ndarray, outputs: int) -> list[np.ndarray]:
    """Run the fp32 network of a bundle.

    Args:
        bundle: The folder.
        array: Its input, with batch axis.
        outputs: How many outputs it has.
    """
    net = ncnn.Net()
    net.opt.num_threads = 1
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    assert net.load_param(str(bundle / "model.ncnn.param")) == 0
    assert net.load_model(str(bundle / "model.ncnn.bin")) == 0
    extractor = net.create_extractor()
    data = np.ascontiguousarray(array[0])
    assert extractor.input("in0", ncnn.Mat(data).clone()) == 0
    results = []
    for index in range(outputs):
        status, mat = extractor.extract(f"out{index}")
        assert status == 0
        results.append(np.array(mat)[np.newaxis])
    return results


def tensors(value: Any) -> list[np.ndarray]:
    """The arrays in nested tuples, lists and dicts, in order."""
    if isinstance(value, torch.Tensor):
        return [value.numpy()]
    parts = value.values() if isinstance(value, dict) else value
    return [array for part in parts for array in tensors(part)]


def eager(module: torch.nn.Module, array: np.ndarray) -> list[np.ndarray]:
    """What torch computes in float64."""
    double = copy.deepcopy(module).eval().double()
    with torch.no_grad():
        return tensors(double(torch.from_numpy(array).double()))


def worst_error(module: torch.nn.Module, bundle: Path, arrays: Iterable[np.ndarray]) -> float:
    """The largest relative L2 error over all outputs, their channels, and inputs."""
    worst = 0.0
    for array in arrays:
        expected = eager(module, array)
        for wanted, found in zip(expected, run_bundle(bundle, array, len(expected)), strict=True):
            assert wanted.shape == found.shape
            worst = max(worst, channel_error(wanted, found))
    return worst


def least_spread(module: torch.nn.Module, one: np.ndarray, other: np.ndarray) -> float:
    """How much the outputs for two inputs differ, relative to their size; the least over all outputs.

    Outputs that hardly depend on the input prove nothing when they agree.
    """
    pairs = zip(eager(module, one), eager(module, other), strict=True)
    return min(float(np.linalg.norm(a - b) / np.linalg.norm(a)) for a, b in pairs)


def channel_error(wanted: np.ndarray, found: np.ndarray) -> float:
    """The largest relative L2 error over the channels of one output, its second axis.

    Outputs whose channels differ in scale, such as boxes in pixels beside scores, would hide an error in the small ones
    if they were measured as a whole.
    """
    channels = wanted.shape[1] if wanted.ndim > 2 else 1  # a vector of logits is one channel
    rows = wanted.reshape(channels, -1)
    sizes = np.linalg.norm(rows, axis=1)
    errors = np.linalg.norm(rows - found.reshape(channels, -1), axis=1)
    return float((errors / np.maximum(sizes, _SMALLEST_CHANNEL * sizes.max())).max())
