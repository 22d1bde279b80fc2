"""Measures what judging a bundle costs: networks of 10, 50 and 200 blocks, and 1, 16 and 128 recorded samples.

The networks are chains of DWCA blocks with the statistics of one batch. Each bundle is judged in a process of its own,
in every mode that this machine has, on one thread. Seconds are of CPU time; peak memory is the largest resident size
that the kernel saw of that process; `open` is a process that only opens the bundle. The figures are medians.

usage: python tools/parity_cost.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dwca_export import DWCABlock, ExportRequest, export
from dwca_export.bundle import GOLDEN, MANIFEST, PARAM, hash_files, write_json

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (1, 3, 32, 32)
CHANNELS = 32
CASES = {10: (16,), 50: (1, 16, 128), 200: (16,)}
"""Numbers of samples for each number of blocks."""

# Not what `wait4` tells: that begins with the size of the process that started this one.
_FIGURES = """
import sys, time
from pathlib import Path
status = Path("/proc/self/status").read_text(encoding="utf-8")
print(time.process_time(), next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
"""
_OPEN = """
import sys
from pathlib import Path
from dwca_export.audit.verdict import audit
from dwca_export.runners.bundle import open_bundle
open_bundle(Path(sys.argv[1]))
"""
_AUDIT = """
import sys
from pathlib import Path
from dwca_export.audit.verdict import audit
assert all(result.status != "failed" for result in audit(Path(sys.argv[1])))
"""


class Chain(nn.Module):
    """A stem, residual DWCA blocks and a linear classifier.

    Args:
        blocks: How many blocks.
    """

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(SHAPE[1], CHANNELS, 3, 2, 1, bias=False), nn.BatchNorm2d(CHANNELS), nn.Hardswish()
        )
        self.blocks = nn.Sequential(*(DWCABlock(CHANNELS, CHANNELS) for _ in range(blocks)))
        self.classifier = nn.Linear(CHANNELS, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: `(N, 3, H, W)`, floating point.

        Returns:
            Logits, `(N, 10)`.
        """
        logits: Tensor = self.classifier(self.blocks(self.stem(x)).mean((2, 3)))
        return logits


def chain(blocks: int) -> Chain:
    """A chain whose batch norms have the statistics of one batch of noise."""
    torch.manual_seed(0)
    network = Chain(blocks)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(8, *SHAPE[1:]))
    return network.eval()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print("| blocks | layers | samples | CPU seconds | of it `open` | ms a layer | peak memory, MiB | of it `open` |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for blocks, counts in CASES.items():
            exported = _export(Path(name), blocks, max(counts))
            for count in counts:
                _measure(_with_samples(exported, count), blocks, count, rounds)


def _measure(bundle: Path, blocks: int, count: int, rounds: int) -> None:
    judged, opened = (
        [statistics.median(values) for values in zip(*(_child(script, bundle) for _ in range(rounds)), strict=True)]
        for script in (_AUDIT, _OPEN)
    )
    layers = int((bundle / PARAM).read_text(encoding="utf-8").split()[1])
    each = 1e3 * (judged[0] - opened[0]) / layers
    times, sizes = f"{judged[0]:.2f} | {opened[0]:.2f} | {each:.2f}", f"{judged[1]:.0f} | {opened[1]:.0f}"
    print(f"| {blocks} | {layers} | {count} | {times} | {sizes} |", flush=True)


def _export(folder: Path, blocks: int, count: int) -> Path:
    """The bundle of a chain."""
    torch.save(chain(blocks).state_dict(), folder / "chain.pt")
    request = ExportRequest(
        folder / "chain.pt",
        out=folder / f"chain{blocks}_ncnn_model",
        shapes=(SHAPE,),
        arch=f"{Path(__file__)}:chain",
        arch_args={"blocks": blocks},
        samples=count,
    )
    return export(request).bundle


def _with_samples(bundle: Path, count: int) -> Path:
    """A copy of a bundle that recorded no more than the first samples."""
    copy = bundle.with_name(f"{count}_{bundle.name}")
    shutil.copytree(bundle, copy)
    with np.load(copy / GOLDEN) as golden:
        kept = {key: golden[key] for key in golden.files if _sample(key) < count}
    np.savez_compressed(copy / GOLDEN, **kept)
    manifest = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
    manifest["samples"]["count"] = count
    manifest["files"] = hash_files(copy)
    write_json(copy / MANIFEST, manifest)
    return copy


def _sample(key: str) -> int:
    """The sample that a recorded tensor is of; what is recorded of the first alone has no number."""
    kind, _, rest = key.partition("/")
    return int(rest.partition("/")[0]) if kind in ("input", "output") else 0


def _child(script: str, bundle: Path) -> tuple[float, float]:
    """CPU seconds and peak MiB of a process."""
    done = subprocess.run(
        [sys.executable, "-c", script + _FIGURES, str(bundle)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak / 1024


if __name__ == "__main__":
    main()
