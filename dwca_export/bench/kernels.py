"""Measures the kernels of depthwise layers beside each other: rows of times, errors, and shares of what is possible."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.bench.block_pieces import Block, block_piece
from dwca_export.bench.conditions import usable_cpus
from dwca_export.bench.entrants import STOCK, entered
from dwca_export.bench.results import timed_row, unavailable_row
from dwca_export.bench.roofline import Roofline
from dwca_export.bench.schedule import Case
from dwca_export.bench.slope import Slope
from dwca_export.bench.verdict import verdict
from dwca_export.errors import DwcaExportError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dwca_export.bench.entrants import Entrant, Field
    from dwca_export.bench.roofline import Limits
    from dwca_export.bench.schedule import Samples
    from dwca_export.bench.session import Document, Session
    from dwca_export.bench.subject import Subject
    from dwca_export.bench.terms import Terms

Row = dict[str, Any]

BLOCKS = ((3, False), (5, False), (5, True))
"""The blocks that are measured: kernel size, and whether with attention; the baseline first."""

_MICRO = 1e6
_GIGA = 1e9


@dataclass
class _Work:
    """What is done of a measurement."""

    session: Session
    terms: Terms
    roofline: Roofline
    rows: list[Row] = field(default_factory=list)
    interrupted: bool = False
    complete: bool = False

    def measure(self, layer: str, cases: Sequence[Case]) -> dict[str, Samples]:
        samples = self.session.measure(cases, prefix=f"{layer}: ")
        self.interrupted = not all(one.complete or one.fault for one in samples.values())
        return samples


def bench_kernels(
    subjects: Sequence[Subject],
    terms: Terms,
    session: Session,
    *,
    target: Mapping[str, Any],
    notes: Sequence[str] = (),
    blocks: bool = True,
    started: Callable[[str], None] = lambda _: None,
    checkpoint: Callable[[Document], None] = lambda _: None,
) -> Document:
    """Measure all kernels of some layers, and the blocks that have such layers.

    Args:
        subjects: The layers, each once.
        terms: What all kernels keep to.
        session: Frame of the measurement.
        target: Where the layers come from, for the document.
        notes: What the user should know of them.
        blocks: Whether to measure the DWCA block and its baseline around each layer too.
        started: Told what is measured next.
        checkpoint: Told of what there is after each layer.

    Returns:
        The document; of an interrupted measurement with what there was.

    Raises:
        UsageError: More threads than this process may use CPUs.
    """
    check_threads(terms.threads)
    roofline = Roofline(terms.isa)
    work = _Work(session, terms, roofline)
    notes = (*notes, *([f"no share of the peak is known: {roofline.missing}"] if roofline.missing else []))
    content: dict[str, Any] = {"target": target, "settings": terms.describe(), "notes": list(notes)}
    with contextlib.suppress(KeyboardInterrupt):
        for subject in subjects:
            started(subject.label)
            work.rows += _measure_layer(subject, work)
            if blocks and not work.interrupted:
                started(f"blocks of {subject.label}")
                work.rows += _measure_blocks(subject, work)
            if work.interrupted:
                break
            checkpoint(session.partial("kernels", rows=work.rows, **content))
        else:
            work.complete = True
    return session.finished("kernels", rows=work.rows, verdict=verdict(work.rows), complete=work.complete, **content)


def check_threads(threads: int) -> None:
    """Refuse more threads than there are CPUs: they would wait for each other.

    Raises:
        UsageError: Naming the number.
    """
    cpus = len(usable_cpus())
    if not 1 <= threads <= cpus:
        raise UsageError(
            f"{threads} threads, of {cpus} CPUs that this process may use", where="--threads", hint=f"1 to {cpus}"
        )


def _measure_layer(subject: Subject, work: _Work) -> list[Row]:
    """One row for each that takes part, ncnn's first."""
    with entered(subject, work.terms) as field_:
        samples = work.measure(subject.label, [entrant.case for entrant in field_.entrants if entrant.case])
    storage = work.terms.precision.storage
    bytes_ = subject.layer.input_bytes(storage) + subject.layer.output_bytes(storage)
    limits = work.roofline.limits(bytes_)
    rows = []
    for entrant in field_.entrants:
        facts = {"layer": subject.label, "sources": list(subject.sources), **entrant.facts}
        facts |= _errors(entrant, field_, work.terms)
        if entrant.case is None:
            rows.append(unavailable_row(entrant.name, entrant.unavailable, **facts))
            continue
        row = timed_row(
            entrant.name, samples[entrant.name], samples.get(STOCK), emulated=work.session.emulated, **facts
        )
        rows.append(row | _rates(row["p50_us"], subject.layer.multiply_adds, bytes_, limits, work.terms.threads))
    return rows


def _measure_blocks(subject: Subject, work: _Work) -> list[Row]:
    """One row for each of `BLOCKS`, all run by ncnn."""
    layer, terms = subject.layer, work.terms
    shape = (layer.channels, layer.height, layer.width)
    array = np.random.default_rng(1).standard_normal(shape, np.float32)
    kinds = {str(block): block for block in (Block(*shape, kernel, layer.stride, with_) for kernel, with_ in BLOCKS)}
    facts = {"layer": subject.label, "sources": list(subject.sources), "kind": "block"}
    with contextlib.ExitStack() as stack:
        try:
            slopes = {
                name: stack.enter_context(Slope(block_piece(block), array, terms.setting))
                for name, block in kinds.items()
            }
        except DwcaExportError as error:
            return [unavailable_row(name, error.what, **facts) for name in kinds]
        samples = work.measure(subject.label, [Case(name, timed.seconds) for name, timed in slopes.items()])
    base = samples[next(iter(kinds))]
    return [timed_row(name, samples[name], base, emulated=work.session.emulated, **facts) for name in kinds]


def _errors(entrant: Entrant, field_: Field, terms: Terms) -> Row:
    """`max_error` is absolute; infinity, which JSON lacks, is None."""
    if entrant.output is None:
        return {}
    epsilons = field_.truth.epsilons(entrant.output, terms.precision.arithmetic)
    return {
        "max_error": _finite(field_.truth.largest_error(entrant.output)),
        "error_epsilons": _finite(epsilons),
        "error_bound_epsilons": entrant.bound,
        "is_right": epsilons <= entrant.bound,
    }


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None


def _rates(median_us: float | None, multiply_adds: int, bytes_: int, limits: Limits | None, threads: int) -> Row:
    """How much is done a second; every kernel is credited with the multiply-adds of the direct algorithm."""
    if median_us is None:
        return {}
    seconds = median_us / _MICRO
    rates: Row = {
        "gflops": 2 * multiply_adds / seconds / _GIGA,
        "gbytes_per_second": bytes_ / seconds / _GIGA,
    }
    if limits is None:
        return rates
    return rates | {
        "percent_of_peak": 100 * multiply_adds / seconds / limits.multiply_adds / threads,
        "percent_of_bandwidth": 100 * bytes_ / seconds / limits.bandwidth / threads,
    }
