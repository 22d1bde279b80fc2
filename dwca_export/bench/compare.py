"""Compares two documents: what became slower, beyond chance."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwca_export.bench.export import row_name
from dwca_export.bench.machine import IDENTITY
from dwca_export.bench.results import KINDS, SCHEMA
from dwca_export.bench.statistics import independent_ratio
from dwca_export.errors import InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from dwca_export.bench.statistics import Ratio

_WHOLE = "--json of a dwca-bench that ran to its end wrote such a file"
_FORCE = "compare files of one machine and one way to measure, or --force"
_NAMED = 5


@dataclass(frozen=True)
class Compared:
    """One row of both documents.

    Attributes:
        name: What it is called in both.
        old_us: Median of the older one, microseconds.
        new_us: Median of the newer one.
        ratio: New over old.
        verdict: `slower` or `faster`, if chance alone hardly explains it; else `same`.
    """

    name: str
    old_us: float
    new_us: float
    ratio: Ratio
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """Two documents.

    Attributes:
        rows: What both have, in the order of the older one.
        missing: What the newer one has no times of.
        added: What the older one has no times of.
        notes: What the user should know.
    """

    rows: tuple[Compared, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]
    notes: tuple[str, ...]

    def slower(self, threshold: float) -> tuple[Compared, ...]:
        """The rows that are slower by more than a share of the older time, and beyond chance.

        Args:
            threshold: 0.05 for 5 %.
        """
        return tuple(row for row in self.rows if row.verdict == "slower" and row.ratio.value > 1 + threshold)


def read_document(path: Path) -> dict[str, Any]:
    """Read a document, and hold it to the schema as far as comparisons need it.

    Raises:
        InputRefusedError: It cannot be read, is no such document or a damaged one, or it holds no times.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # what is no UTF-8 or no JSON is a ValueError
        raise InputRefusedError(f"cannot be read: {error}", where=str(path), hint=_WHOLE) from error
    fault = _fault(document)
    if fault:
        raise InputRefusedError(fault, where=str(path), hint=_WHOLE)
    rows: dict[str, Any] = document
    return rows


def compare(old: Mapping[str, Any], new: Mapping[str, Any], *, force: bool = False) -> Comparison:
    """Compare two documents.

    Args:
        old: The older one, as `read_document` returned it.
        new: The newer one.
        force: Whether to compare what comes from different machines, was measured in different ways, or lacks rows.

    Raises:
        InputRefusedError: The two cannot be compared.
    """
    before, after = _timed(old), _timed(new)
    missing, added = tuple(before.keys() - after.keys()), tuple(after.keys() - before.keys())
    differences = tuple(_differences(old, new))
    if missing:
        differences += (f"not measured in the newer one: {_list(sorted(missing))}",)
    if differences and not force:
        raise InputRefusedError("; ".join(differences), where="compare", hint=_FORCE)
    common = [name for name in before if name in after]
    if not common:
        raise InputRefusedError("the two have no row in common", where="compare", hint="compare files of one network")
    rows = tuple(_compare(name, before[name], after[name]) for name in common)
    return Comparison(rows, tuple(sorted(missing)), tuple(sorted(added)), (*differences, *_notes(old, new)))


def describe_comparison(comparison: Comparison, threshold: float | None) -> dict[str, Any]:
    """The comparison as a JSON object.

    Args:
        comparison: The comparison.
        threshold: See `Comparison.slower`; None for no judgement.
    """
    too_slow = {row.name for row in comparison.slower(threshold)} if threshold is not None else set()
    return {
        "schema": "dwca-bench-compare/1",
        "fail_if_slower": threshold,
        "verdict": "not judged" if threshold is None else "slower" if too_slow else "passed",
        "rows": [_describe(row, too_slow=row.name in too_slow) for row in comparison.rows],
        "missing": list(comparison.missing),
        "added": list(comparison.added),
        "notes": list(comparison.notes),
    }


def _describe(row: Compared, *, too_slow: bool) -> dict[str, Any]:
    high = row.ratio.high
    return {
        "name": row.name,
        "old_p50_us": row.old_us,
        "new_p50_us": row.new_us,
        "ratio": row.ratio.value,
        "ratio_low": row.ratio.low or None,
        "ratio_high": high if math.isfinite(high) else None,
        "verdict": row.verdict,
        "too_slow": too_slow,
    }


def _compare(name: str, old: Sequence[float], new: Sequence[float]) -> Compared:
    ratio = independent_ratio(new, old)
    verdict = "same" if not ratio.differs else "slower" if ratio.value > 1 else "faster"
    return Compared(name, _median(old), _median(new), ratio, verdict)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _timed(document: Mapping[str, Any]) -> dict[str, list[float]]:
    """Samples by name, of rows that have some that are longer than nothing: a layer may take less than can be told."""
    rows = [*document["rows"], *([document["whole"]] if document.get("whole") else [])]
    return {row_name(row): row["samples_us"] for row in rows if row["samples_us"] and _median(row["samples_us"]) > 0}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["kind"] != new["kind"]:
        yield f"one is of {old['kind']}, the other of {new['kind']}"
    for key in IDENTITY:
        pair = [_text(document["machine"][key]) for document in (old, new)]
        if pair[0] != pair[1]:
            yield f"different machines: {key} {pair[0] or 'unknown'} and {pair[1] or 'unknown'}"


def _notes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in ("ncnn", "dwca_export", "system"):
        pair = [document["machine"].get(key) for document in (old, new)]
        if pair[0] != pair[1]:
            yield f"{key} {pair[0]} and {pair[1]}"
    for which, document in (("older", old), ("newer", new)):
        if not document["stable"]:
            yield f"the machine was not stable for the {which} one: its warnings say why"


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _fault(document: object) -> str:
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else None
        return f"no document of dwca-bench: its schema is {found!r}, not {SCHEMA!r}"
    machine = document.get("machine")
    if document.get("kind") not in KINDS or not isinstance(machine, dict) or not set(IDENTITY) <= set(machine):
        return "damaged: kind or machine is missing"
    rows = document.get("rows")
    if not isinstance(rows, list) or not all(map(_is_row, [*rows, *filter(None, [document.get("whole")])])):
        return "damaged: its rows are not what they should be"
    if document.get("emulated") is not False:
        return "measured under emulation: it holds no times"
    if document.get("complete") is not True:
        return "the measurement was interrupted"
    return "" if isinstance(document.get("stable"), bool) else "damaged: stable is missing"


def _is_row(row: object) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        return False
    samples = row.get("samples_us", 0)
    return samples is None or (isinstance(samples, list) and bool(samples) and all(map(_is_time, samples)))


def _is_time(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= 0


def _list(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
