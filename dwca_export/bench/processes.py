"""What other processes do: /proc read twice, a moment apart."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.system_files import ROOT, numbered, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOMENT = 0.35
"""Seconds between the two looks. The kernel counts in hundredths of a second, so less would tell nothing."""

# Fields of /proc/stat's line `cpu` and of /proc/<pid>/stat behind the name, from 0; see proc(5).
_IDLE, _IOWAIT, _STEAL = 3, 4, 7
_PARENT, _USER, _SYSTEM = 1, 11, 12

_BUSY = 0.1


@dataclass(frozen=True)
class Process:
    """A process that computes.

    Attributes:
        pid: Its number.
        name: Its name.
        cpus: How many CPUs it keeps busy.
    """

    pid: int
    name: str
    cpus: float


@dataclass(frozen=True)
class Activity:
    """What went on between two looks.

    Attributes:
        busy: Other processes that take more than a tenth of a CPU, busiest first.
        cpus: How many CPUs were busy in all, those of processes that are not visible from here among them; None where
            it is not readable.
        steal: Share of the time that the hypervisor gave to others; None where it is not readable.
    """

    busy: tuple[Process, ...] = ()
    cpus: float | None = None
    steal: float | None = None


@dataclass(frozen=True)
class Ticks:
    """Counters of all CPUs together, in ticks.

    Attributes:
        total: All.
        idle: Doing nothing, or waiting for a disk.
        steal: Given to others by the hypervisor.
    """

    total: int
    idle: int
    steal: int


def activity(root: Path = ROOT, sleep: Callable[[float], None] = time.sleep) -> Activity:
    """Watch the other processes for a moment.

    Args:
        root: What /proc lies in.
        sleep: Waits for some seconds.
    """
    before, ticks = _processes(root), read_ticks(root)
    sleep(MOMENT)
    after, later = _processes(root), read_ticks(root)
    if ticks is None or later is None or later.total <= ticks.total:
        return Activity()
    span = later.total - ticks.total
    cores = os.cpu_count() or 1
    own = _own(after)
    found = [
        Process(pid, name, (used - before[pid][2]) / span * cores)
        for pid, (name, _, used) in after.items()
        if pid in before and pid not in own
    ]
    busy = sorted((one for one in found if one.cpus > _BUSY), key=lambda one: -one.cpus)
    return Activity(tuple(busy), (span - later.idle + ticks.idle) / span * cores, stolen(ticks, later))


def read_ticks(root: Path = ROOT) -> Ticks | None:
    """The counters of all CPUs; None where they are not readable."""
    words = read(root / "proc/stat").partition("\n")[0].split()
    if len(words) <= _STEAL + 1 or words[0] != "cpu":
        return None
    ticks = list(map(int, words[1 : _STEAL + 2]))  # what follows, guests, is in the first two already
    return Ticks(sum(ticks), ticks[_IDLE] + ticks[_IOWAIT], ticks[_STEAL])


def stolen(before: Ticks | None, after: Ticks | None) -> float | None:
    """Share of the time between two looks that the hypervisor gave to others."""
    if before is None or after is None or after.total <= before.total:
        return None
    return (after.steal - before.steal) / (after.total - before.total)


def _processes(root: Path) -> dict[int, tuple[str, int, int]]:
    """Name, parent and used ticks of every process."""
    found = {}
    for folder in numbered(root / "proc", ""):
        name, closed, rest = read(folder / "stat").partition("(")[2].rpartition(")")
        fields = rest.split()
        if closed and len(fields) > _SYSTEM:  # else it has ended meanwhile
            found[int(folder.name)] = (name, int(fields[_PARENT]), int(fields[_USER]) + int(fields[_SYSTEM]))
    return found


def _own(processes: dict[int, tuple[str, int, int]]) -> set[int]:
    """This process and those that it started."""
    own = {os.getpid()}
    while more := {pid for pid, (_, parent, _) in processes.items() if parent in own} - own:
        own |= more
    return own
