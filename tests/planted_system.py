"""Plants what Linux tells in /proc and /sys below another root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.bench.conditions import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

X86 = """processor : 0
vendor_id : GenuineIntel
model name : Some CPU @ 2 GHz
cpu MHz : 1999.5
flags : fpu avx avx2 fma
"""
BIG_LITTLE = "".join(
    f"processor\t: {number}\nFeatures\t: fp asimd asimdhp\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n"
    for number, part in enumerate(["0xd05"] * 4 + ["0xd0b"] * 4)
)


def plant(root: Path, files: Mapping[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def stat_line(pid: int, name: str, ticks: int, parent: int = 1) -> str:
    """A /proc/<pid>/stat: state and parent behind the name, user and system ticks in fields 14 and 15."""
    return f"{pid} ({name}) R {parent} {'0 ' * 9}{ticks} 0 0 0 20 0 1 0 1 0"


def cpu_line(busy: int, idle: int, steal: int = 0) -> str:
    return f"cpu  {busy} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 0 0 0 0"


def quiet_machine(root: Path) -> Path:
    """A machine on which nothing is to be said against measuring."""
    files: dict[str, object] = {
        "proc/loadavg": "0.00 0.01 0.05 1/100 999",
        "proc/cpuinfo": X86,
        "proc/stat": cpu_line(10, 990),
    }
    for cpu in usable_cpus():
        folder = f"sys/devices/system/cpu/cpu{cpu}"
        files |= {f"{folder}/cpufreq/scaling_governor": "performance", f"{folder}/cpufreq/scaling_cur_freq": 2_000_000}
        files |= {f"{folder}/thermal_throttle/core_throttle_count": 3}
    files |= {"sys/class/thermal/thermal_zone0/type": "cpu-thermal", "sys/class/thermal/thermal_zone0/temp": 45_000}
    files |= {"sys/class/thermal/cooling_device0/type": "Processor", "sys/class/thermal/cooling_device0/cur_state": 0}
    return plant(root, files)
