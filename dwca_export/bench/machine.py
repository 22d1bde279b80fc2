"""Which machine this is, as far as it decides how fast a network runs."""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ncnn

from dwca_export import __version__
from dwca_export.emulation import emulation
from dwca_export.system_files import ROOT, field, read

if TYPE_CHECKING:
    from pathlib import Path

# What ncnn's kernels and ours ask for, as Linux names it.
_ISA = (
    *("sse2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512dq", "avx512vl"),
    *("avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("asimd", "asimdhp", "asimddp", "asimdfhm", "bf16", "i8mm", "sve", "sve2"),
)

# Arm's part numbers, from the registers' description in each core's reference manual (MIDR_EL1.PartNum).
_ARM_NAMES = """
d03 Cortex-A53, d04 Cortex-A35, d05 Cortex-A55, d07 Cortex-A57, d08 Cortex-A72, d09 Cortex-A73, d0a Cortex-A75,
d0b Cortex-A76, d0c Neoverse-N1, d0d Cortex-A77, d40 Neoverse-V1, d41 Cortex-A78, d42 Cortex-A78AE, d44 Cortex-X1,
d46 Cortex-A510, d47 Cortex-A710, d48 Cortex-X2, d49 Neoverse-N2, d4d Cortex-A715, d4e Cortex-X3, d80 Cortex-A520,
d81 Cortex-A720, d82 Cortex-X4"""
_ARM_PARTS = {int(code, 16): name for code, name in map(str.split, _ARM_NAMES.split(","))}
_ARM_IMPLEMENTER = 0x41


@dataclass(frozen=True)
class Machine:
    """A machine with the software that was measured on it.

    Attributes:
        cpu: Name of the CPU.
        board: Name of the board; empty where the system does not tell.
        architecture: `x86_64`, `aarch64`, ...
        isa: Its instruction set extensions, of those that kernels ask for.
        cores: Logical CPUs.
        system: Operating system and its version.
        emulated: What shows that another machine's CPU is emulated; empty if nothing does.
        virtual: Whether a hypervisor is known to run below.
        ncnn: Version of ncnn.
        python: Version of Python.
        dwca_export: Version of this package.
    """

    cpu: str
    board: str
    architecture: str
    isa: tuple[str, ...]
    cores: int
    system: str
    emulated: str
    virtual: bool
    ncnn: str
    python: str
    dwca_export: str


# What has to be the same for times to be compared; the versions are what comparisons are made for.
IDENTITY = ("cpu", "board", "architecture", "isa", "cores")


def read_machine(root: Path = ROOT, architecture: str | None = None) -> Machine:
    """Look at this machine.

    Args:
        root: What /proc and /sys lie in.
        architecture: By default what the system says.
    """
    architecture = architecture or platform.machine()
    cpuinfo = read(root / "proc/cpuinfo")
    emulated = emulation(root, architecture)
    flags = set() if emulated else _flags(cpuinfo)
    return Machine(
        cpu="emulated" if emulated else _cpu(cpuinfo) or platform.processor() or architecture,
        board=read(root / "proc/device-tree/model"),
        architecture=architecture,
        isa=tuple(flag for flag in _ISA if flag in flags),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        emulated=emulated,
        virtual="hypervisor" in flags,
        ncnn=str(getattr(ncnn, "__version__", "unknown")),
        python=platform.python_version(),
        dwca_export=__version__,
    )


def _cpu(cpuinfo: str) -> str:
    name = field(cpuinfo, "model name") or field(cpuinfo, "cpu model")
    implementers, parts = (re.findall(rf"^CPU {key}\s*:\s*(0x\w+)", cpuinfo, re.M) for key in ("implementer", "part"))
    if not parts:
        return name
    counts = Counter(_part(*pair) for pair in zip(implementers, parts, strict=False))
    return " + ".join(f"{count} x {part}" for part, count in counts.items())


def _part(implementer: str, part: str) -> str:
    known = _ARM_PARTS.get(int(part, 16)) if int(implementer, 16) == _ARM_IMPLEMENTER else None
    return known or f"implementer {implementer} part {part}"


def _flags(cpuinfo: str) -> set[str]:
    return set((field(cpuinfo, "flags") or field(cpuinfo, "Features")).split())
