"""The machines and precision modes that kernels are predicted for, as ncnn's options see them."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from dwca_export.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Family: TypeAlias = Literal["x86", "arm"]

# What ncnn's `cpu_support_x86_avx512` and `cpu_support_x86_fma` ask for (src/cpu.cpp), as Linux names it.
_AVX512_FLAGS = frozenset(("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"))
_AVX2_FLAGS = frozenset(("avx2", "fma", "f16c"))


@dataclass(frozen=True)
class Target:
    """A kind of CPU that ncnn has kernels for.

    Attributes:
        name: As on the command line.
        title: For people.
        family: The folder of ncnn's `src/layer` that its kernels are in.
        packs: Numbers of channels that ncnn packs together in 32 bits, widest first.
        asimdhp: ARM: whether it computes in half precision, without which ncnn stores none on ARM.
    """

    name: str
    title: str
    family: Family
    packs: tuple[int, ...]
    asimdhp: bool = False


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("x86-avx2", "x86 with AVX2, FMA, F16C", "x86", (8, 4)),
        Target("x86-avx512", "x86 with AVX-512", "x86", (16, 8, 4)),
        Target("armv8", "64 bit ARM without asimdhp (Cortex-A53, A72)", "arm", (4,)),
        Target("armv8.2", "64 bit ARM with asimdhp (Cortex-A55, A76)", "arm", (4,), asimdhp=True),
    )
}


@dataclass(frozen=True)
class Options:
    """The fields of `ncnn::Option` that decide between kernels; packing is always on."""

    fp16_storage: bool = False
    fp16_arithmetic: bool = False
    bf16_storage: bool = False
    int8: bool = False
    sgemm: bool = True
    winograd: bool = True

    def masked(self, mask: int) -> Options:
        """What is left for a layer with `31=mask`: `get_masked_option` of ncnn's `src/net.cpp`.

        Bit 3 (int8) switches options that no CPU kernel asks for; bits 4 (Vulkan) and 7 (threads) choose no CPU kernel.
        """
        return replace(
            self,
            fp16_arithmetic=self.fp16_arithmetic and not mask & 1,
            fp16_storage=self.fp16_storage and not mask & 2,
            bf16_storage=self.bf16_storage and not mask & 4,
            sgemm=not mask & 32,
            winograd=not mask & 64,
        )


MODES: Mapping[str, Options] = {
    "fp32": Options(),
    "fp16-storage": Options(fp16_storage=True),
    "fp16-arithmetic": Options(fp16_storage=True, fp16_arithmetic=True),
    "bf16-storage": Options(bf16_storage=True),
    "int8": Options(int8=True),
}


def target_named(name: str) -> Target:
    """The target of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in TARGETS:
        raise UsageError(f"no target {name!r}", where="kernel paths", hint=f"known: {', '.join(TARGETS)}")
    return TARGETS[name]


def mode_named(name: str) -> Options:
    """The options of the mode of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in MODES:
        raise UsageError(f"no precision mode {name!r}", where="kernel paths", hint=f"known: {', '.join(MODES)}")
    return MODES[name]


def host_target() -> Target | None:
    """The target that this machine is, None where it is none of them or does not say."""
    machine = platform.machine()
    if machine in {"aarch64", "arm64"}:
        import ncnn

        return TARGETS["armv8.2" if ncnn.cpu_support_arm_asimdhp() else "armv8"]
    return x86_target(_cpuinfo()) if machine in {"x86_64", "AMD64"} else None


def x86_target(cpuinfo: str) -> Target | None:
    """The x86 target of a CPU; ncnn's Python module does not tell whether it has AVX-512.

    Args:
        cpuinfo: What `/proc/cpuinfo` says.
    """
    flags = {flag for line in cpuinfo.splitlines() if line.startswith("flags") for flag in line.split()}
    if flags >= _AVX512_FLAGS:
        return TARGETS["x86-avx512"]
    return TARGETS["x86-avx2"] if flags >= _AVX2_FLAGS else None


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
