"""The frame of every measurement: look at the machine, measure, look again, describe."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dwca_export.bench.alone import other_instance
from dwca_export.bench.conditions import Conditions, read_conditions
from dwca_export.bench.machine import Machine, read_machine
from dwca_export.bench.remarks import Remark, about_samples, after_measuring, before_measuring
from dwca_export.bench.results import describe
from dwca_export.bench.schedule import measure
from dwca_export.bench.watch import Watch
from dwca_export.errors import UnstableError
from dwca_export.system_files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dwca_export.bench.schedule import Case, Samples

Document = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        rounds: Rounds at least.
        seconds: Seconds for each case at least.
        cooldown: Seconds of rest before each round.
        require_stable: Whether to refuse a machine on which times are not to be judged.
    """

    rounds: int = 30
    seconds: float = 1.0
    cooldown: float = 0.0
    require_stable: bool = False


QUICK = Settings(rounds=10, seconds=0.1)

CHECKPOINT_SECONDS = 5.0
"""How often what was measured so far is worth writing: the figures of all rows take time from the next round."""

_HEDGE = "this machine was not stable, as the warnings say: what follows may be chance"


@dataclass
class Session:
    """A measurement in progress.

    Attributes:
        settings: How to measure.
        machine: On what.
        before: In which state it was.
        remarks: What was to be said before anything was measured.
        root: What /proc and /sys lie in.
    """

    settings: Settings
    machine: Machine
    before: Conditions
    remarks: tuple[Remark, ...]
    root: Path
    _watch: Watch
    _samples: dict[str, Samples] = field(default_factory=dict)
    _next_checkpoint: float = 0.0

    @property
    def emulated(self) -> bool:
        """Whether times are none: the CPU is emulated."""
        return bool(self.machine.emulated)

    def measure(
        self,
        cases: Sequence[Case],
        after_round: Callable[[Mapping[str, Samples]], None] | None = None,
        prefix: str = "",
    ) -> dict[str, Samples]:
        """Measure cases; under emulation each is run twice, to see that it can be.

        Args:
            cases: See `schedule.measure`.
            after_round: See `schedule.measure`.
            prefix: What tells these cases from those of other calls, in remarks.
        """

        def look(samples: Mapping[str, Samples]) -> None:
            self._watch.look()
            if after_round:
                after_round(samples)

        settings = Settings(rounds=1, seconds=0) if self.emulated else self.settings
        found = measure(
            cases,
            min_rounds=settings.rounds,
            min_seconds=settings.seconds,
            max_warmup=1 if self.emulated else 40,
            max_warmup_seconds=max(2 * settings.seconds, 0.2),
            cooldown=settings.cooldown,
            after_round=look,
        )
        self._samples.update({prefix + name: samples for name, samples in found.items()})
        return found

    def checkpoint_is_due(self) -> bool:
        """Whether it is time to write what there is; once it was, not again for some seconds."""
        now = time.monotonic()
        due = now >= self._next_checkpoint
        if due:
            self._next_checkpoint = now + CHECKPOINT_SECONDS
        return due

    def partial(self, kind: str, **content: Any) -> Document:
        """The document of what was measured so far; see `results.describe`."""
        return self._describe(kind, remarks=self.remarks, complete=False, verdict=(), **content)

    def finished(self, kind: str, *, verdict: Sequence[str], complete: bool, **content: Any) -> Document:
        """The document of the whole measurement; see `results.describe`.

        A verdict is left out where the settings want a stable machine and this one is not, and under emulation.
        """
        after, course = read_conditions(self.root), self._watch.course()
        about = () if self.emulated else about_samples(self._samples)
        remarks = _each_once((*self.remarks, *after_measuring(self.before, after, course), *about))
        unstable = any(remark.unstable for remark in remarks)
        refused = self.emulated or (self.settings.require_stable and unstable)
        said = () if refused else (*([_HEDGE] if unstable and verdict else []), *verdict)
        return self._describe(
            kind, remarks=remarks, complete=complete, verdict=said, course=course, after=after, **content
        )

    def _describe(self, kind: str, *, settings: Mapping[str, Any] | None = None, **content: Any) -> Document:
        told = {**asdict(self.settings), **(settings or {})}
        return describe(kind, settings=told, machine=self.machine, before=self.before, **content)


@contextlib.contextmanager
def open_session(
    settings: Settings, threads: int = 1, *, root: Path = ROOT, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Session]:
    """Look at the machine, and hold the lock that tells other benchmarks of this one.

    Args:
        settings: How to measure.
        threads: The most threads that will run at a time.
        root: What /proc and /sys lie in.
        sleep: Waits for some seconds.

    Raises:
        UnstableError: The settings want a stable machine, and this one is not.
    """
    with other_instance() as other:
        machine, conditions = read_machine(root), read_conditions(root, sleep)
        remarks = before_measuring(machine, conditions, threads, other)
        if settings.require_stable:
            require_stable(remarks)
        yield Session(settings, machine, conditions, remarks, root, Watch(root))


def require_stable(remarks: Sequence[Remark]) -> None:
    """Refuse to judge on an unstable machine.

    Raises:
        UnstableError: Something makes it so.
    """
    reasons = [remark for remark in remarks if remark.unstable]
    if reasons:
        what = "; ".join(remark.what for remark in reasons)
        advice = "; ".join(dict.fromkeys(remark.advice for remark in reasons))
        raise UnstableError(f"no verdict on an unstable machine: {what}", where="--require-stable", hint=advice)


def _each_once(remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    """The last of each name: what was seen at the end says more than what was seen before."""
    return tuple({(remark.name, remark.what): remark for remark in remarks}.values())
