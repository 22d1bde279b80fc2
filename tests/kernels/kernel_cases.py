"""Random layers and formats, and what a kernel makes of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dwca_export import kernels
from dwca_export.kernels.layouts import ELEMPACKS
from dwca_export.kernels.measured_error import Truth
from dwca_export.kernels.native import native

if kernels.missing():
    pytest.skip(kernels.missing(), allow_module_level=True)

# tools/arm sets it. An emulated kernel takes 30 times as long, and so does numpy.
EMULATED = "QEMU_CPU" in os.environ

ISAS = kernels.isas()
EXACT = ("direct", "generic")
"""Algorithms that transform nothing: each output is a sum of its own window's products."""

# What nothing that is computed here looks like, in uint16 too.
_UNWRITTEN = {np.dtype(np.uint16): 0x7FC1}


def examples(count: int) -> settings:
    """Settings for a law that is tried so often, less under emulation."""
    return settings(
        max_examples=max(count // 20, 5) if EMULATED else count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


@dataclass(frozen=True)
class Case:
    """A layer, how it is to be computed, and the seed of its numbers."""

    layer: kernels.Layer
    isa: str
    algorithm: str
    elempack: int = 1
    storage: str = "fp32"
    arithmetic: str = "fp32"
    threads: int = 1
    seed: int = 0

    def but(self, **changes: Any) -> Case:
        return replace(self, **changes)

    @cached_property
    def numbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Input, weight, bias."""
        rng = np.random.default_rng(self.seed)
        layer = self.layer
        x = rng.standard_normal((layer.channels, layer.height, layer.width), np.float32)
        weight = rng.standard_normal((layer.channels, layer.kernel, layer.kernel), np.float32)
        bias = rng.standard_normal(layer.channels, np.float32) if layer.bias else None
        return kernels.unpack(kernels.pack(x, 1, self.storage), layer.channels), weight, bias

    def plan(self, weight: np.ndarray | None = None, bias: np.ndarray | None = None) -> kernels.Plan:
        if weight is None:
            _, weight, bias = self.numbers
        return kernels.plan(
            self.layer,
            weight,
            bias,
            algorithm=self.algorithm,
            isa=self.isa,
            elempack=self.elempack,
            storage=self.storage,
            arithmetic=self.arithmetic,
            threads=self.threads,
        )

    @property
    def lanes(self) -> int:
        """Of the table's row that computes it."""
        return self.plan().lanes

    def stored(self, x: np.ndarray | None = None, plan: kernels.Plan | None = None) -> np.ndarray:
        """The output as it lies in memory; what the kernel leaves out is not a number."""
        plan = plan or self.plan()
        packed = kernels.pack(self.numbers[0] if x is None else x, self.elempack, self.storage)
        y = plan.empty_output()
        y[...] = _UNWRITTEN.get(y.dtype, np.nan)
        plan.run(packed, y)
        return y

    def output(self, x: np.ndarray | None = None, plan: kernels.Plan | None = None) -> np.ndarray:
        """The output, `(C, OH, OW)`."""
        return kernels.unpack(self.stored(x, plan), self.layer.channels)

    @property
    def truth(self) -> Truth:
        return Truth(self.layer, *self.numbers, kernels.reference)

    @property
    def bound(self) -> float:
        return kernels.error_bound(self.algorithm, self.layer, self.storage, self.arithmetic)

    @property
    def error(self) -> float:
        """In epsilons, as `bound`."""
        return self.truth.epsilons(self.output(), self.arithmetic)


def rows(isa: str) -> list[tuple[str, int, int, int, str]]:
    """The table of kernels: algorithm, kernel, stride, lanes, arithmetic."""
    return [tuple(row) for row in native().kernels(isa)]


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _grown(size: int, before: int, after: int, extent: int) -> int:
    """The padding after an input that makes room for the kernel."""
    return max(after, extent - size - before)


@st.composite
def layers(draw: st.DrawFn, kernel: int, stride: int, dilation: int, multiple: int) -> kernels.Layer:
    """Layers of 1 to 70 rows and columns, with paddings up to twice the kernel, and channels in multiples."""
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    most = max(1, min(70, 40_000 // (height * width)) // multiple)
    channels = multiple * draw(st.integers(1, most))
    same = draw(st.booleans())
    half = kernel // 2 * dilation
    top, bottom, left, right = (half if same else draw(st.integers(0, 2 * kernel)) for _ in range(4))
    extent = (kernel - 1) * dilation + 1
    padding = (top, _grown(height, top, bottom, extent), left, _grown(width, left, right, extent))
    activation = draw(st.sampled_from(["none", "none", "relu", "relu6", "hardswish"]))
    return kernels.Layer(channels, height, width, kernel, stride, padding, dilation, draw(st.booleans()), activation)


@st.composite
def cases(draw: st.DrawFn, isa: str) -> Case:
    """Everything that the table of an instruction set can compute."""
    algorithm, kernel, stride, _, arithmetic = draw(st.sampled_from(rows(isa)))
    elempack = draw(st.sampled_from(ELEMPACKS))
    dilation = 1
    if kernel == 0:
        kernel, stride = draw(st.sampled_from([1, 2, 3, 4, 5, 7, 9])), draw(st.integers(1, 4))
        dilation = draw(st.integers(1, 3))
    return Case(
        draw(layers(kernel, stride, dilation, elempack)),
        isa,
        algorithm,
        elempack,
        "fp16" if arithmetic == "fp16" else draw(st.sampled_from(["fp32", "fp32", "fp16", "bf16"])),
        arithmetic,
        draw(st.integers(1, 4)),
        draw(st.integers(0, 1000)),
    )


def case_of_row(isa: str, row: tuple[str, int, int, int, str], height: int = 13, width: int = 19) -> list[Case]:
    """Cases, one for each format, that this very row of the table computes; none if nothing reaches it."""
    algorithm, kernel, stride, lanes, arithmetic = row
    found = []
    for elempack in ELEMPACKS:
        for channels in (elempack * 2,) if elempack > 1 else (3, 7, 19, 32):
            layer = kernels.Layer(channels, height, width, kernel or 4, stride or 3, bias=True, activation="relu6")
            for storage in ("fp16",) if arithmetic == "fp16" else ("fp32", "fp16", "bf16"):
                case = Case(layer, isa, algorithm, elempack, storage, arithmetic)
                if case.lanes == lanes:
                    found.append(case)
    return found
