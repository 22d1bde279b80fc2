"""The state that this machine is in: clock, heat, load, and what this process may use of it.

Linux tells most of it in /proc and /sys; what is not readable is None or empty, and no warning is made of it.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.bench.processes import Activity, activity
from dwca_export.system_files import ROOT, numbered, read, read_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_KHZ_PER_MHZ = 1000
_MILLIDEGREES = 1000
# Cooling devices that slow the CPU down; fans do not.
_CPU_COOLING = re.compile(r"processor|cpu|powerclamp", re.I)
# The Raspberry Pi's firmware, `get_throttled`: bits 0 to 3 are of now, the others of some time since it was started.
_FIRMWARE = {1: "under-voltage", 2: "the clock is capped", 4: "throttled", 8: "the soft limit of temperature"}


@dataclass(frozen=True)
class Conditions:
    """The state at one time.

    Attributes:
        cpus: Logical CPUs that this process may use.
        quota: How many CPUs the control group grants, None without a limit.
        governors: Frequency governors of these CPUs.
        mhz: The highest clock of these CPUs, None where it is not readable.
        celsius: Temperatures by sensor.
        throttling: What slows the CPU down now.
        throttled: How often it was slowed down because of heat since the system was started.
        load: Load average of the last minute.
        others: What other processes do.
    """

    cpus: tuple[int, ...]
    quota: float | None
    governors: tuple[str, ...]
    mhz: float | None
    celsius: Mapping[str, float]
    throttling: tuple[str, ...]
    throttled: int | None
    load: float | None
    others: Activity


def read_conditions(root: Path = ROOT, sleep: Callable[[float], None] = time.sleep) -> Conditions:
    """Look at the state of this machine; takes a third of a second, in which other processes are watched.

    Args:
        root: What /proc and /sys lie in.
        sleep: Waits for some seconds.
    """
    cpus = usable_cpus()
    return Conditions(
        cpus=cpus,
        quota=cpu_quota(root),
        governors=tuple(dict.fromkeys(filter(None, (read(folder / "scaling_governor") for folder in _cpufreq(root))))),
        mhz=clock_mhz(root),
        celsius=temperatures(root),
        throttling=throttling(root),
        throttled=_throttle_count(root),
        load=_load(root),
        others=activity(root, sleep),
    )


def usable_cpus() -> tuple[int, ...]:
    """The logical CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def cpu_quota(root: Path = ROOT) -> float | None:
    """How many CPUs' time the control group of this process grants, the tightest limit of it and those above it.

    Returns:
        None where there is no limit.
    """
    groups = read(root / "proc/self/cgroup").splitlines()
    found = [
        quota
        for line in groups
        if len(fields := line.split(":", 2)) == 3  # noqa: PLR2004  number, controllers, path
        if "cpu" in fields[1].split(",") or not fields[1]
        for quota in _quotas(root / "sys/fs/cgroup", fields[2].strip("/"), unified=not fields[1])
    ]
    return min(found, default=None)


def clock_mhz(root: Path = ROOT) -> float | None:
    """The highest clock of the CPUs that this process may use, in MHz; None where it is not readable."""
    clocks = [read_number(folder / "scaling_cur_freq") for folder in _cpufreq(root)]
    known = [clock / _KHZ_PER_MHZ for clock in clocks if clock]
    known = known or [
        float(clock) for clock in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", read(root / "proc/cpuinfo"), re.M)
    ]
    return max(known, default=None)


def temperatures(root: Path = ROOT) -> dict[str, float]:
    """Temperatures in degrees Celsius, by sensor; several of one name count as their hottest."""
    found: dict[str, float] = {}
    for zone in numbered(root / "sys/class/thermal", "thermal_zone"):
        value, name = read_number(zone / "temp"), read(zone / "type") or zone.name
        if value is not None:
            found[name] = max(found.get(name, value), value)
    return {name: value / _MILLIDEGREES for name, value in found.items()}


def throttling(root: Path = ROOT) -> tuple[str, ...]:
    """What slows the CPU down at this moment."""
    devices = [
        f"{kind} at step {state:.0f}"
        for device in numbered(root / "sys/class/thermal", "cooling_device")
        if _CPU_COOLING.search(kind := read(device / "type"))
        if (state := read_number(device / "cur_state") or 0) > 0
    ]
    bits = int(read_number(root / "sys/devices/platform/soc/soc:firmware/get_throttled") or 0)
    return (*devices, *(f"firmware: {text}" for bit, text in _FIRMWARE.items() if bits & bit))


def _throttle_count(root: Path) -> int | None:
    counts = [
        read_number(cpu / "thermal_throttle" / name)
        for cpu in numbered(root / "sys/devices/system/cpu", "cpu")
        for name in ("core_throttle_count", "package_throttle_count")
    ]
    known = [int(count) for count in counts if count is not None]
    return sum(known) if known else None


def _load(root: Path) -> float | None:
    words = read(root / "proc/loadavg").split()
    return float(words[0]) if words else None


def _cpufreq(root: Path) -> list[Path]:
    return [root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq" for cpu in usable_cpus()]


def _quotas(mount: Path, path: str, *, unified: bool) -> list[float]:
    """Limits of a group and of those above it: `cpu.max` of version 2, `cpu.cfs_*_us` of version 1."""
    top = mount if unified else mount / "cpu"
    parts = path.split("/") if path else []
    folders = [top.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    pairs = [
        read(folder / "cpu.max").split()
        if unified
        else [read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        for folder in folders
    ]
    return [int(quota) / int(period) for quota, period in (pair for pair in pairs if _is_limit(pair))]


def _is_limit(pair: list[str]) -> bool:
    return len(pair) == 2 and all(word.isdecimal() and int(word) for word in pair)  # noqa: PLR2004  quota, period
