"""Whether the CPU is emulated: the times of an emulator say nothing of the CPU that it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.system_files import field, read

if TYPE_CHECKING:
    from pathlib import Path


def emulation(root: Path, architecture: str) -> str:
    """Say what shows that the CPU is emulated: qemu-user answers for the CPU, but /proc is the host's.

    Args:
        root: What /proc lies in.
        architecture: What the system says it is.

    Returns:
        One clause; empty if nothing shows it.
    """
    family = _family(architecture)
    kernel = read(root / "proc/sys/kernel/arch")
    if kernel and _family(kernel) != family:
        return f"the kernel is {kernel}, this process {architecture}"
    cpuinfo = read(root / "proc/cpuinfo")
    if (family == "arm" and field(cpuinfo, "vendor_id")) or (family == "x86" and field(cpuinfo, "CPU implementer")):
        return f"/proc/cpuinfo is not that of {architecture}"
    process = read(root / "proc/self/comm")
    if process.startswith("qemu-"):
        return f"the process is {process}"
    return "the CPU is qemu's" if "QEMU TCG" in cpuinfo else ""


def _family(architecture: str) -> str:
    name = architecture.lower()
    if name in {"x86_64", "amd64", "i386", "i486", "i586", "i686"}:
        return "x86"
    return "arm" if name.startswith(("aarch64", "arm")) else name
