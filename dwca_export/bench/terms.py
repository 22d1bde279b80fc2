"""What all kernels of a measurement have to keep to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from dwca_export.bench.foreign import FRAMEWORKS
from dwca_export.bench.slope import Setting

ISAS = ("scalar", "avx2", "avx512", "neon", "neon_fp16")
"""Instruction sets that there are kernels for, on one machine or another."""


@dataclass(frozen=True)
class Precision:
    """How numbers are kept and computed.

    Attributes:
        storage: `fp32`, `fp16` or `bf16`, of input and output.
        arithmetic: `fp32` or `fp16`.
    """

    storage: str = "fp32"
    arithmetic: str = "fp32"

    @property
    def mode(self) -> str:
        """The mode of ncnn for it."""
        if self.storage == "fp16":
            return "fp16-arithmetic" if self.arithmetic == "fp16" else "fp16-storage"
        return "bf16-storage" if self.storage == "bf16" else "fp32"


@dataclass(frozen=True)
class Terms:
    """What all kernels of a measurement have to keep to.

    Attributes:
        precision: Of input, output and sums.
        elempack: Numbers of a pixel's channels that lie together; None for ncnn's choice, 1 for planar tensors.
        isa: Instruction set of our kernels; None for the best.
        threads: Threads of everybody.
        algorithms: Those of ours that take part; None for all.
        frameworks: Those of the others that take part if they are installed.
    """

    precision: Precision = field(default_factory=Precision)
    elempack: int | None = None
    isa: str | None = None
    threads: int = 1
    algorithms: tuple[str, ...] | None = None
    frameworks: tuple[str, ...] = tuple(FRAMEWORKS)

    @property
    def setting(self) -> Setting:
        """The options of ncnn for them."""
        return Setting(threads=self.threads, mode=self.precision.mode, packing=self.elempack != 1)

    def describe(self) -> dict[str, Any]:
        """The terms as a JSON object."""
        described = asdict(self)
        return {**described.pop("precision"), **described}
