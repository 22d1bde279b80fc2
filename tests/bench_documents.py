"""Documents of measurements, made without measuring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dwca_export.bench.conditions import read_conditions
from dwca_export.bench.machine import Machine
from dwca_export.bench.results import describe, timed_row, unavailable_row
from dwca_export.bench.schedule import Samples

MACHINE = Machine("Some CPU", "", "aarch64", ("asimd",), 4, "Linux 6", "", False, "1.0", "3.11", "0.1")
CONDITIONS = replace(read_conditions(Path("/missing"), lambda _: None), cpus=(0, 1, 2, 3))
TARGET = {"name": "net", "shapes": [[1, 3, 8, 8]], "inputs": "noise", "samples": 1, "layers": 3}


def samples(name="a", median=0.001, seed=0, count=60, scatter=0.01):
    """Times with a floor and a tail."""
    times = median * (1 + scatter * np.random.default_rng(seed).exponential(size=count))
    return Samples(name, tuple(map(float, times)))


def model_row(name="fp32", median=0.001, seed=0, **more):
    extra = dict.fromkeys(("relative_l2", "fault", "peak_rss_bytes", "network_rss_bytes", "same_bits_as"))
    extra |= {"weights_bytes": 4096, "same_kernels": False, "threads": 1}
    return timed_row(name, samples(name, median, seed), samples("base"), emulated=False, **{**extra, **more})


def model_document(*rows, **changes):
    rows = rows or (model_row("fp32"), model_row("bf16-storage", 0.0008, 1))
    machine = replace(MACHINE, **changes.pop("machine", {}))
    parts = {"target": TARGET, "settings": {"require_stable": False}, "before": CONDITIONS, **changes}
    return describe("model", machine=machine, rows=rows, **parts)


def absent_row(name="fp16-arithmetic"):
    row = model_row(name)
    return {**row, **unavailable_row(name, "not available here")}
