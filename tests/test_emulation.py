"""What shows that a CPU is emulated, and what looks like it."""

from __future__ import annotations

import pytest
from planted_system import BIG_LITTLE, X86, plant

from dwca_export.emulation import emulation


@pytest.mark.parametrize(
    ("files", "architecture", "shown_by"),
    [
        ({"proc/sys/kernel/arch": "x86_64"}, "aarch64", "the kernel is x86_64, this process aarch64"),
        ({"proc/cpuinfo": X86}, "aarch64", "/proc/cpuinfo is not that of aarch64"),
        ({"proc/cpuinfo": BIG_LITTLE}, "x86_64", "/proc/cpuinfo is not that of x86_64"),
        ({"proc/self/comm": "qemu-aarch64-st"}, "aarch64", "the process is qemu-aarch64-st"),
        ({"proc/cpuinfo": "model name : QEMU TCG CPU version 2.5+"}, "x86_64", "the CPU is qemu's"),
    ],
)
def test_emulation_is_seen(tmp_path, files, architecture, shown_by):
    assert emulation(plant(tmp_path, files), architecture) == shown_by


@pytest.mark.parametrize(
    ("files", "architecture"),
    [
        ({"proc/sys/kernel/arch": "x86_64", "proc/cpuinfo": X86}, "i686"),  # 32 bits on a kernel of 64
        ({"proc/sys/kernel/arch": "aarch64", "proc/cpuinfo": BIG_LITTLE}, "armv7l"),
        ({"proc/self/comm": "python3", "proc/cpuinfo": BIG_LITTLE}, "aarch64"),
        ({"proc/cpuinfo": "model name : AMD EPYC Processor (with IBPB), KVM"}, "x86_64"),
    ],
)
def test_what_looks_like_emulation_and_is_none(tmp_path, files, architecture):
    assert emulation(plant(tmp_path, files), architecture) == ""
