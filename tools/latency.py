"""Measures our ncnn networks beside what plain pnnx makes of the same network's TorchScript, through ncnn's Python API.

All variants run in turn, round by round (A B C A B C ...), so that the machine's moods hit all alike; the figures are
ratios of medians to plain pnnx's. "bare" is our conversion of the same network with every attention taken out: what is
left then is shared with plain pnnx, and no conversion of the attention can come below it. One thread, full precision.

usage: python tools/latency.py [--rounds 60]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ncnn
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dwca_export.artifacts import LoadedModel
from dwca_export.block import DWCABlock
from dwca_export.conversion import Opener, convert
from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import write_weights
from dwca_export.optimise import optimise
from dwca_export.progress import Progress
from dwca_export.to_ncnn import find_pnnx
from dwca_export.workers import Workers
from models.nets import classifier, detector

BURST = 5


def main() -> None:
    """Export, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="how often each variant runs, times five")
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    cases = {
        "block 64x56x56": (DWCABlock(64, 64), (1, 64, 56, 56)),
        "classifier 3x224x224": (classifier(), (1, 3, 224, 224)),
        "classifier, width 0.5": (classifier(width=0.5), (1, 3, 224, 224)),
        "detector 3x224x224": (detector(), (1, 3, 224, 224)),
    }
    print(f"{'network':22} {'layers':>6} {'plain':>6} {'ratio':>6} {'bare':>6}")
    for name, (module, shape) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            plain = _plain(module, shape, Path(folder))
            ours = _ours(module, shape, Path(folder, "ours.ncnn.param"))
            bare = _ours(_without_attention(module), shape, Path(folder, "bare.ncnn.param"))
            ratios = _ratios([plain, ours, bare], shape, rounds)
            print(f"{name:22} {_layers(ours):6} {_layers(plain):6} {ratios[1]:6.3f} {ratios[2]:6.3f}")


class _Bare(DWCABlock):
    def _attend(self, features: torch.Tensor) -> torch.Tensor:
        return features


def _without_attention(module: torch.nn.Module) -> torch.nn.Module:
    bare = copy.deepcopy(module)
    for block in bare.modules():
        if isinstance(block, DWCABlock):
            block.__class__ = _Bare
    return bare


def _plain(module: torch.nn.Module, shape: tuple[int, ...], folder: Path) -> Path:
    torch.jit.trace(module.eval(), torch.zeros(shape)).save(str(folder / "plain.pt"))
    size = "[" + ",".join(map(str, shape)) + "]"
    command = [str(find_pnnx()), "plain.pt", f"inputshape={size}", "fp16=0"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "plain.ncnn.param"


def _ours(module: torch.nn.Module, shape: tuple[int, ...], param: Path) -> Path:
    with Workers(300) as workers:
        conversion = convert(Opener(LoadedModel(module, "module", "")), (shape,), Progress(quiet=True), workers, 300)
    network, _ = optimise(conversion.ncnn)
    param.write_text(network.param.text(), encoding="utf-8")
    param.with_suffix(".bin").write_bytes(write_weights(network.weights))
    return param


def _layers(param: Path) -> int:
    return len(Param.parse(param.read_text(encoding="utf-8")).layers)


def _ratios(params: list[Path], shape: tuple[int, ...], rounds: int) -> list[float]:
    array = np.random.default_rng(0).standard_normal(shape[1:], np.float32)
    nets = [_open(param) for param in params]
    seconds: list[list[float]] = [[] for _ in nets]
    for round_ in range(rounds + 1):
        for net, times in zip(nets, seconds, strict=True):
            for _ in range(BURST):
                start = time.perf_counter()
                _run(net, array)
                times.append(time.perf_counter() - start)
        if round_ == 0:  # warm-up
            seconds = [[] for _ in nets]
    medians = [statistics.median(times) for times in seconds]
    return [median / medians[0] for median in medians]


def _open(param: Path) -> Any:
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(param)) or net.load_model(str(param.with_suffix(".bin"))):
        sys.exit(f"ncnn does not load {param}")
    return net


def _run(net: Any, array: np.ndarray) -> None:
    with net.create_extractor() as extractor:
        extractor.input("in0", ncnn.Mat(array).clone())
        for blob in net.output_names():
            status, _ = extractor.extract(blob)
            if status:
                sys.exit("ncnn fails")


if __name__ == "__main__":
    main()
