"""Measures what `dwca-export` costs beside the parts that nobody can do without, and beside the naive flow.

    parts   import torch + one torch.onnx.export (dynamo) + the pnnx program on its result
    naive   import torch + torch.jit.trace + the pnnx program, which proves nothing

Each runs in a process of its own, in turn, round by round; the figures are medians. Peak memory is the largest resident
size that the kernel saw of the process and of its children.

usage: python tools/export_time.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models/zoo/fashion_dwca.pt"
ARCH = ROOT / "models/nets.py"

_LOAD = f"""
import json, logging, subprocess, sys, time
start = time.perf_counter()
import torch
seconds = {{"import torch": time.perf_counter() - start}}
logging.getLogger("torch.onnx").setLevel(logging.ERROR)
from pathlib import Path
from dwca_export.load import load
from dwca_export.to_ncnn import find_pnnx
loaded = load(Path({str(MODEL)!r}), arch={f"{ARCH}:classifier"!r})
module, example = loaded.model.eval(), torch.zeros(loaded.shapes[0])
def timed(name, work):
    start = time.perf_counter()
    work()
    seconds[name] = time.perf_counter() - start
"""
_PARTS = """
timed("torch.onnx.export", lambda: torch.onnx.export(module, (example,), "m.onnx", dynamo=True, verbose=False))
timed("pnnx", lambda: subprocess.run([find_pnnx(), "m.onnx", "fp16=0"], check=True, capture_output=True))
"""
_NAIVE = """
timed("torch.jit.trace", lambda: torch.jit.trace(module, example).save("m.pt"))
shape = "inputshape=[" + ",".join(map(str, example.shape)) + "]"
timed("pnnx", lambda: subprocess.run([find_pnnx(), "m.pt", shape, "fp16=0"], check=True, capture_output=True))
"""
_PRINT = "print(json.dumps(seconds))"
_PEAKS = f"""
import contextlib, json, resource
from pathlib import Path
from dwca_export import ExportRequest, export
from dwca_export.progress import Progress
peaks = {{}}
class Tracking(Progress):
    @contextlib.contextmanager
    def hop(self, name):
        with super().hop(name) as hop:
            yield hop
        peaks[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
request = ExportRequest(Path({str(MODEL)!r}), out=Path("out"), arch={f"{ARCH}:classifier"!r})
export(request, Tracking(quiet=True))
print(json.dumps(peaks))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    memory: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, run in {"parts": _run_parts, "dwca-export": _run_export, "naive": _run_naive}.items():
            with tempfile.TemporaryDirectory() as folder:
                measured, peak = run(folder)
            memory[name].append(peak)
            for part, value in measured.items():
                seconds[name][part].append(value)
    for name, parts in seconds.items():
        print(f"{name}: peak memory {statistics.median(memory[name]):.0f} MiB")
        for part, values in parts.items():
            print(f"  {part:20} {statistics.median(values):6.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        peaks = json.loads(_child([sys.executable, "-c", _PEAKS], folder)[0])
    print("peak memory of the process after each hop, MiB: " + ", ".join(f"{k} {v:.0f}" for k, v in peaks.items()))
    sums = [sum(values) for values in zip(*seconds["parts"].values(), strict=True)]
    ratios = [whole / parts for whole, parts in zip(seconds["dwca-export"]["whole command"], sums, strict=True)]
    print(f"whole command / (import torch + torch.onnx.export + pnnx): {statistics.median(ratios):.2f}")


def _run_parts(folder: str) -> tuple[dict[str, float], float]:
    output, _, peak = _child([sys.executable, "-c", _LOAD + _PARTS + _PRINT], folder)
    return json.loads(output), peak


def _run_naive(folder: str) -> tuple[dict[str, float], float]:
    output, _, peak = _child([sys.executable, "-c", _LOAD + _NAIVE + _PRINT], folder)
    return json.loads(output), peak


def _run_export(folder: str) -> tuple[dict[str, float], float]:
    command = [sys.executable, "-m", "dwca_export.cli.export", str(MODEL), "--arch", f"{ARCH}:classifier"]
    output, whole, peak = _child([*command, "--out", folder, "--json"], folder)
    return {**json.loads(output)["seconds"], "whole command": whole}, peak


def _child(command: list[str], folder: str) -> tuple[str, float, float]:
    """Output, seconds, and peak MiB of a process and its children."""
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[:4]} failed")
    return output, time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
