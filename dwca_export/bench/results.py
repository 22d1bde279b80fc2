"""A measurement as one JSON document, from which all other forms are made. Its schema is in docs/pages/bench.md."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dwca_export.bench.statistics import paired_ratio, summarise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dwca_export.bench.conditions import Conditions
    from dwca_export.bench.machine import Machine
    from dwca_export.bench.remarks import Course, Remark
    from dwca_export.bench.schedule import Samples

SCHEMA = "dwca-bench/1"
KINDS = ("model", "layers", "kernels")

_MICRO = 1e6
_TIMES = ("p50_us", "p90_us", "p99_us", "min_us", "mad_us")
_NO_TIME: dict[str, Any] = dict.fromkeys((*_TIMES, "samples_us", "outliers", "ratio", "ratio_low", "ratio_high"))
EMULATED = "times of an emulator are none"


def timed_row(name: str, samples: Samples, base: Samples | None, *, emulated: bool, **more: Any) -> dict[str, Any]:
    """One case as a row.

    Args:
        name: What the row is called.
        samples: What was measured of it.
        base: What ratios refer to: the first case, measured in the same rounds; None for no ratio.
        emulated: Whether the CPU is emulated: the row then has no times.
        more: Further keys, such as `max_error`.
    """
    row = {"name": name, "unavailable": None, **_NO_TIME, "rounds": len(samples.seconds), "max_error": None, **more}
    if samples.fault:
        row["unavailable"] = samples.fault
    if emulated or not samples.seconds:
        row["unavailable"] = row["unavailable"] or (EMULATED if emulated else "interrupted before its first round")
        return row
    figures = summarise(samples.seconds)
    for key in _TIMES:
        row[key] = _micro(getattr(figures, key.removesuffix("_us")))
    row["samples_us"] = list(map(_micro, samples.seconds))
    row["outliers"] = list(figures.outliers)
    if base is not None and base.seconds:
        ratio = paired_ratio(samples.seconds, base.seconds)
        row |= {"ratio": ratio.value, "ratio_low": _finite(ratio.low), "ratio_high": _finite(ratio.high)}
    return row


def unavailable_row(name: str, why: str, **more: Any) -> dict[str, Any]:
    """A case that cannot be measured here, as a row."""
    return {"name": name, "unavailable": why, **_NO_TIME, "rounds": 0, "max_error": None, **more}


def describe(
    kind: str,
    *,
    target: Mapping[str, Any],
    settings: Mapping[str, Any],
    machine: Machine,
    before: Conditions,
    rows: Sequence[Mapping[str, Any]],
    remarks: Iterable[Remark] = (),
    verdict: Sequence[str] = (),
    complete: bool = True,
    course: Course | None = None,
    after: Conditions | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The document.

    Args:
        kind: One of `KINDS`.
        target: What was measured.
        settings: How.
        machine: On what.
        before: In which state.
        rows: One per case; see `timed_row`.
        remarks: What the user should know.
        verdict: Conclusions, in words.
        complete: Whether all that was asked for was measured.
        course: What was seen meanwhile; None while it goes on.
        after: The state afterwards; None while it goes on.
        more: Further keys.
    """
    remarks = tuple(remarks)
    conditions = {
        "before": asdict(before),
        "during": asdict(course) if course else None,
        "after": asdict(after) if after else None,
    }
    return {
        "schema": SCHEMA,
        "kind": kind,
        "target": dict(target),
        "settings": dict(settings),
        "machine": asdict(machine),
        "conditions": conditions,
        "complete": complete,
        "emulated": bool(machine.emulated),
        "stable": not any(remark.unstable for remark in remarks),
        "rows": [dict(row) for row in rows],
        **more,
        "warnings": [asdict(remark) for remark in remarks],
        "verdict": list(verdict),
    }


def _micro(seconds: float) -> float:
    """Microseconds, to the nanosecond: clocks tell no more."""
    return round(seconds * _MICRO, 3)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) and value > 0 else None
