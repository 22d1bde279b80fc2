"""Times a whole network in several variants, each in a process of its own, in turn."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dwca_export.audit.forked import in_child
from dwca_export.bench.conditions import usable_cpus
from dwca_export.bench.network import Network, blob_sizes
from dwca_export.bench.results import timed_row, unavailable_row
from dwca_export.bench.schedule import Case
from dwca_export.bench.variants import Variant, check_threads
from dwca_export.bench.worker import Worker
from dwca_export.errors import ConversionError, DwcaExportError, UsageError
from dwca_export.parity.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dwca_export.bench.schedule import Samples
    from dwca_export.bench.session import Document, Session
    from dwca_export.bench.target import Blobs, Target

# Computes as the mode named last where this machine, or ncnn for it, has no kernels for it.
_LESS = {"fp16-storage": "fp32", "fp16-arithmetic": "fp16-storage", "bf16-storage": "fp32"}
_TIMEOUT = 600.0


@dataclass
class _Run:
    """One variant in progress."""

    variant: Variant
    worker: Worker | None = None
    why: str = ""
    more: dict[str, Any] = field(default_factory=dict)


def bench_model(
    target: Target,
    variants: Sequence[Variant],
    session: Session,
    checkpoint: Callable[[Document], None] | None = None,
) -> Document:
    """Time a network.

    Args:
        target: The network and its inputs.
        variants: What to time; the others are compared with the first.
        session: Frame of the measurement.
        checkpoint: Told of what there is, every few seconds.

    Returns:
        The document; of an interrupted measurement with what there was.

    Raises:
        UsageError: More threads than CPUs, or no variant that this machine has.
        InputRefusedError: The inputs do not fit the network.
        ConversionError: Not even the first variant runs.
    """
    check_threads(variants, len(usable_cpus()))
    settings = {"variants": [variant.name for variant in variants]}
    content: dict[str, Any] = {"target": target.describe(), "settings": settings, "notes": list(target.notes)}
    with contextlib.ExitStack() as stack:
        runs = _start(target, variants, stack)
        able = {run.variant.name: run for run in runs if run.worker}
        if not able:
            reasons = "; ".join(f"{run.variant.name} is {run.why}" for run in runs)
            raise UsageError(f"nothing can be measured: {reasons}", where="variants", hint="choose others")

        def keep(samples: Mapping[str, Samples]) -> None:
            if checkpoint and session.checkpoint_is_due():
                checkpoint(session.partial("model", rows=_rows(runs, samples, session), **content))

        samples = session.measure([Case(name, _timer(run)) for name, run in able.items()], keep)
        complete = all(one.complete or one.fault for one in samples.values())
        if complete:
            _note_memory(able, samples)
    rows = _rows(runs, samples, session)
    return session.finished("model", rows=rows, verdict=judge(rows), complete=complete, **content)


def judge(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in words which variants are faster than the first one.

    Args:
        rows: Of the document.
    """
    first = rows[0]
    known = [row for row in rows[1:] if row["ratio_low"] and row["ratio_high"]]
    if not known:
        return []
    others = [row for row in known if not row["same_kernels"]]
    floor = [
        f"{row['name']} takes the same kernels as {first['name']}, and measured {_times(row)} of its time: "
        "differences as small mean nothing here"
        for row in known
        if row["same_kernels"]
    ]
    faster = sorted((row for row in others if row["ratio_high"] < 1), key=lambda row: row["ratio"])
    slower = [row["name"] for row in others if row["ratio_low"] > 1]
    same = [row["name"] for row in others if row not in faster and row["name"] not in slower]
    said = [f"{row['name']} takes {_times(row)} of {first['name']}'s time" for row in faster]
    said = said or [f"nothing is faster than {first['name']}"]
    said += floor
    said += [f"slower than {first['name']}: {', '.join(slower)}"] if slower else []
    return said + ([f"no difference to {first['name']} can be told: {', '.join(same)}"] if same else [])


def _times(row: Mapping[str, Any]) -> str:
    return f"{row['ratio']:.3f} ({row['ratio_low']:.3f} to {row['ratio_high']:.3f})"


def _start(target: Target, variants: Sequence[Variant], stack: contextlib.ExitStack) -> list[_Run]:
    runs = [_Run(variant) for variant in variants]
    digests: dict[Variant, str] = {}
    reference = _reference(target)
    for run in runs:
        run.more = {"weights_bytes": _weight_bytes(target, run.variant)}
        try:
            run.why = _obstacle(target, run.variant, digests)
            if not run.why:
                run.worker = stack.enter_context(_open(target, run.variant))
                run.more |= _errors(run.worker.ask("outputs"), reference)
                same = _same_bits(target, run.variant, variants[0], digests)
                # Without Winograd every bit is the same only where no layer took it; other kernels may round alike.
                run.more["same_kernels"] = same and run.variant == replace(variants[0], winograd=False)
                run.more["same_bits_as"] = variants[0].name if same else None
        except ConversionError as error:
            if run is runs[0]:
                raise
            run.worker, run.why = None, error.what
    return runs


def _open(target: Target, variant: Variant) -> Worker:
    return Worker(lambda: Network(target, variant), f"{target.name}, {variant.name}", _TIMEOUT)


def _timer(run: _Run) -> Callable[[], float]:
    def time_once() -> float:
        assert run.worker is not None  # noqa: S101  only such are cases
        return float(run.worker.ask("time_once"))

    return time_once


def _weight_bytes(target: Target, variant: Variant) -> int | None:
    return target.bins[variant.weights].stat().st_size if variant.weights in target.bins else None


def _obstacle(target: Target, variant: Variant, digests: dict[Variant, str]) -> str:
    """Why a variant cannot be measured here; empty if it can."""
    if variant.weights not in target.bins:
        return f"not available: there are no {variant.weights} weights"
    if variant.cores != "all" and not _has_two_kinds_of_cores():
        return "not available here: all cores are of one kind"
    if variant.mode in _LESS:
        less = replace(variant, mode=_LESS[variant.mode])
        if _digest(target, variant, digests) == _digest(target, less, digests):
            return f"not available here: computes the same as {less.mode}"
    return ""


def _has_two_kinds_of_cores() -> bool:
    import ncnn

    return bool(0 < ncnn.get_little_cpu_count() < ncnn.get_cpu_count())


def _digest(target: Target, variant: Variant, digests: dict[Variant, str]) -> str:
    # How many threads compute, and where, decides nothing about what is computed.
    key = replace(variant, threads=1, cores="all")
    if key not in digests:
        digests[key] = in_child(lambda: _digest_of(target, key), f"{target.name}, {key.name}", _TIMEOUT)
    return digests[key]


def _digest_of(target: Target, variant: Variant) -> str:
    with Network(target, variant, keep_blobs=True) as network:
        return network.digest()


def _same_bits(target: Target, variant: Variant, first: Variant, digests: dict[Variant, str]) -> bool:
    """Whether other kernels were asked for than the first variant's, and yet every bit is the same."""
    if replace(variant, threads=first.threads, cores=first.cores) == first:
        return False
    return _digest(target, variant, digests) == _digest(target, first, digests)


def _reference(target: Target) -> Sequence[Blobs]:
    """What outputs are compared with: those of the original network, else ncnn's without any of its tricks."""
    if target.expected:
        return target.expected
    blob_sizes(target, Variant(weights=next(iter(target.bins))))
    plain = Variant(weights=next(iter(target.bins)), winograd=False, packing=False, sgemm=False)
    outputs: list[Blobs] = in_child(lambda: _outputs_of(target, plain), f"{target.name}, {plain.name}", _TIMEOUT)
    return outputs


def _outputs_of(target: Target, variant: Variant) -> list[Blobs]:
    with Network(target, variant) as network:
        return network.outputs()


def _errors(outputs: Sequence[Blobs], reference: Sequence[Blobs]) -> dict[str, Any]:
    """The largest absolute difference of any output, and the largest relative one in the L2 norm."""
    found = [
        measure(blob, [one[blob][None] for one in reference], [one[blob][None] for one in outputs])
        for blob in reference[0]
    ]
    fault = next((one.fault for one in found if one.fault), None)
    if fault:
        return {"max_error": None, "relative_l2": None, "fault": fault}
    return {
        "max_error": max(one.max_abs for one in found),
        "relative_l2": max(one.relative_l2 for one in found),
        "fault": None,
    }


def _note_memory(runs: Mapping[str, _Run], samples: Mapping[str, Samples]) -> None:
    for name, run in runs.items():
        if run.worker and not samples[name].fault:
            with contextlib.suppress(DwcaExportError):
                peak, growth = run.worker.memory()
                run.more |= {"peak_rss_bytes": peak or None, "network_rss_bytes": growth or None}


def _rows(runs: Sequence[_Run], samples: Mapping[str, Samples], session: Session) -> list[dict[str, Any]]:
    base = samples.get(runs[0].variant.name)
    blank: dict[str, Any] = dict.fromkeys(
        ("relative_l2", "fault", "peak_rss_bytes", "network_rss_bytes", "same_bits_as")
    )
    blank["same_kernels"] = False
    return [
        timed_row(
            run.variant.name,
            samples[run.variant.name],
            base,
            emulated=session.emulated,
            threads=run.variant.threads,
            **{**blank, **run.more},
        )
        if run.worker
        else unavailable_row(run.variant.name, run.why, threads=run.variant.threads, **{**blank, **run.more})
        for run in runs
    ]
