"""What the user should know of the circumstances of a measurement, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.bench.statistics import summarise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dwca_export.bench.conditions import Conditions
    from dwca_export.bench.machine import Machine
    from dwca_export.bench.schedule import Samples
    from dwca_export.bench.statistics import Summary

# CPUs that are busy with what no visible process does: another container, the kernel.
_HIDDEN = 0.3
_HOT = 80.0
_LOADED = 0.5
# Changes and scatter beyond these make comparisons of a few per cent a matter of luck.
_CLOCK_FELL = 0.05
_STOLEN = 0.01
_NOISY = 0.05
_MANY_OUTLIERS = 0.02
_ROUNDS_FOR_P99 = 100
_NAMED = 3


@dataclass(frozen=True)
class Remark:
    """One warning.

    Attributes:
        name: For programs.
        what: What is the matter.
        advice: What to do about it.
        unstable: Whether the times are not to be judged under this circumstance.
    """

    name: str
    what: str
    advice: str
    unstable: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


@dataclass(frozen=True)
class Course:
    """What was seen while the cases ran.

    Attributes:
        first_mhz: Clock after the first rounds, None where it is not readable.
        last_mhz: Clock after the last.
        throttling: What slowed the CPU down at any time.
        stolen: Share of the time that the hypervisor gave to others, None where it is not readable.
    """

    first_mhz: float | None = None
    last_mhz: float | None = None
    throttling: tuple[str, ...] = ()
    stolen: float | None = None


def before_measuring(machine: Machine, conditions: Conditions, threads: int, other: int | None) -> tuple[Remark, ...]:
    """Judge what can be known before anything is measured.

    Args:
        machine: This machine.
        conditions: Its state.
        threads: The most threads that will run at a time.
        other: Process number of another benchmark that is running, 0 if only that is known, None if there is none.
    """
    return (
        *_about_machine(machine),
        *_about_others(conditions, other),
        *_about_clock(conditions),
        *_about_share(machine, conditions, threads),
    )


def after_measuring(before: Conditions, after: Conditions, course: Course) -> tuple[Remark, ...]:
    """Judge what happened meanwhile.

    Args:
        before: The state before.
        after: The state afterwards.
        course: What was seen in between.
    """
    return (*_about_heat(before, after, course), *_about_fall(course), *_about_theft(course))


def about_samples(samples: Mapping[str, Samples]) -> tuple[Remark, ...]:
    """Judge the times themselves.

    Args:
        samples: By name of the case; those without times are passed over.
    """
    timed = {name: one for name, one in samples.items() if one.seconds}
    summaries = {name: summarise(one.seconds) for name, one in timed.items()}
    remarks = []
    far_out = [
        f"{name} ({len(one.outliers)} of {len(timed[name].seconds)}, as far as {_farthest(timed[name], one):.1f} times)"
        for name, one in summaries.items()
        if len(one.outliers) > _MANY_OUTLIERS * len(timed[name].seconds)
    ]
    noisy = [f"{name} ({one.mad / one.p50:.0%})" for name, one in summaries.items() if one.mad > _NOISY * one.p50]
    restless = [name for name, one in timed.items() if not one.steady]
    few = min((len(one.seconds) for one in timed.values()), default=_ROUNDS_FOR_P99)
    if far_out:
        what = f"rounds that are far from the median: {_list(far_out)}"
        advice = "something interrupted them, their numbers are in the JSON; medians hardly notice, p99 does"
        remarks.append(Remark("outliers", what, advice))
    if noisy:
        what = f"times scatter by more than {_NOISY:.0%} (MAD of the median) in {_list(noisy)}"
        remarks.append(Remark("noise", what, "close other programs, or measure longer with --min-time", unstable=True))
    if restless:
        what = f"after the warm-up the times had not settled in {_list(restless)}"
        remarks.append(
            Remark("not_steady", what, "run again on an idle machine, or rest with --cooldown", unstable=True)
        )
    if few < _ROUNDS_FOR_P99:
        what = f"p99 of {few} rounds is one of the largest times"
        remarks.append(Remark("few_rounds", what, f"--rounds {_ROUNDS_FOR_P99} for one that can be relied on"))
    return tuple(remarks)


def _farthest(samples: Samples, summary: Summary) -> float:
    """The outlier that is farthest from the median, over the median."""
    far = [samples.seconds[position] for position in summary.outliers]
    return max(far, key=lambda seconds: abs(seconds - summary.p50)) / summary.p50


def _about_machine(machine: Machine) -> Iterator[Remark]:
    if machine.emulated:
        what = f"the CPU is emulated ({machine.emulated}), and time on it is that of the emulator"
        yield Remark("emulated", what, "count instructions instead, with tools/icount", unstable=True)
    elif machine.virtual:
        what = "this is a virtual machine, whose neighbours may take time and cache from it"
        yield Remark("virtual", what, "trust small differences only if they repeat")


def _about_others(conditions: Conditions, other: int | None) -> Iterator[Remark]:
    if other is not None:
        process = f" (process {other})" if other else ""
        what = f"another dwca-bench is measuring{process}"
        yield Remark("two_at_once", what, "let it end, and run again", unstable=True)
    busy = conditions.others.busy
    if busy:
        named = _list([f"{one.name} ({one.pid}: {one.cpus:.0%} of a CPU)" for one in busy])
        yield Remark("busy", f"other processes are computing: {named}", "end them, or wait", unstable=True)
    hidden = (conditions.others.cpus or 0) - sum(one.cpus for one in busy)
    if hidden > _HIDDEN:
        what = f"{hidden:.1f} CPUs are busy with processes that are short-lived, or outside of this container"
        yield Remark("busy_outside", what, "end what starts them, or wait", unstable=True)
    if conditions.load is not None and conditions.load > _LOADED * len(conditions.cpus):
        what = f"the load average is {conditions.load:g} on {len(conditions.cpus)} CPUs"
        yield Remark("load", what, "wait a minute, if something has just ended")


def _about_clock(conditions: Conditions) -> Iterator[Remark]:
    moving = [governor for governor in conditions.governors if governor != "performance"]
    if moving:
        what = f"the frequency governor is {_list(moving)}, which changes the clock"
        advice = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Remark("governor", what, advice, unstable=True)
    if conditions.throttling:
        what = f"the CPU is being slowed down ({_list(conditions.throttling)})"
        yield Remark(
            "throttled", what, "let it cool down, improve cooling or power supply, or use --cooldown", unstable=True
        )
    hottest = max(conditions.celsius.values(), default=0.0)
    if hottest >= _HOT:
        what = f"it is {hottest:.0f} degrees Celsius hot"
        yield Remark("hot", what, "let it cool down, or rest between rounds with --cooldown")


def _about_share(machine: Machine, conditions: Conditions, threads: int) -> Iterator[Remark]:
    if conditions.quota is not None and conditions.quota < threads:
        what = f"the control group grants {conditions.quota:g} CPUs to {threads} threads, and stops them in between"
        yield Remark("quota", what, "raise the limit of the container", unstable=True)
    if len(conditions.cpus) < machine.cores:
        what = f"this process may use CPU {_list(map(str, conditions.cpus))} of {machine.cores} only"
        yield Remark("affinity", what, "that is taskset's choice, or the container's; if it was not yours, undo it")


def _about_heat(before: Conditions, after: Conditions, course: Course) -> Iterator[Remark]:
    more = (after.throttled or 0) - (before.throttled or 0)
    reasons = [*course.throttling, *([f"{more} times because of heat"] if more > 0 else [])]
    if reasons:
        what = f"the CPU was slowed down meanwhile ({_list(reasons)})"
        yield Remark("throttled", what, "use --cooldown, improve cooling or power supply", unstable=True)


def _about_fall(course: Course) -> Iterator[Remark]:
    first, last = course.first_mhz, course.last_mhz
    if first and last and last < (1 - _CLOCK_FELL) * first:
        what = f"the clock fell from {first:.0f} to {last:.0f} MHz meanwhile"
        yield Remark("clock_fell", what, "use --cooldown, or fix the clock", unstable=True)


def _about_theft(course: Course) -> Iterator[Remark]:
    if course.stolen is not None and course.stolen > _STOLEN:
        what = f"the hypervisor gave {course.stolen:.1%} of the time to others"
        yield Remark("stolen", what, "measure on a machine of your own, or when it is quiet", unstable=True)


def _list(words: Iterable[str]) -> str:
    """Some words, and how many more there are."""
    named = list(words)
    more = len(named) - _NAMED
    return ", ".join(named[:_NAMED]) + (f" and {more} more" if more > 0 else "")
