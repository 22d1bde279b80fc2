"""Times every layer of a network in the network itself, with the ncnn that is installed, beside the whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dwca_export.bench.conditions import usable_cpus
from dwca_export.bench.network import Network, blob_sizes, computing_layers
from dwca_export.bench.results import timed_row
from dwca_export.bench.schedule import Case, Samples
from dwca_export.bench.variants import check_threads
from dwca_export.bench.work import is_depthwise, moved_bytes, multiply_adds
from dwca_export.bench.worker import Worker
from dwca_export.kernel_paths import host_target, lint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dwca_export.bench.roofline import Roofline
    from dwca_export.bench.session import Document, Session
    from dwca_export.bench.target import Target
    from dwca_export.bench.variants import Variant
    from dwca_export.bench.work import Sizes
    from dwca_export.ncnn.param import Layer

WHOLE, SUM = "whole", "sum of layers"

_GIGA = 1e9
_MICRO = 1e6


def bench_layers(
    target: Target, variant: Variant, session: Session, checkpoint: Callable[[Document], None] | None = None
) -> Document:
    """Time the layers of a network.

    Args:
        target: The network and its inputs.
        variant: How it is run.
        session: Frame of the measurement.
        checkpoint: Told of what there is, every few seconds.

    Returns:
        The document; of an interrupted measurement with what there was.

    Raises:
        UsageError: More threads than CPUs.
        InputRefusedError: The inputs do not fit the network.
        ConversionError: ncnn does not run the network.
    """
    check_threads([variant], len(usable_cpus()))
    where = f"{target.name}, {variant.name}"
    sizes = blob_sizes(target, replace(variant, threads=1))  # they decide nothing about sizes
    facts, missing = _facts(target, variant, sizes)
    content: dict[str, Any] = {
        "target": target.describe(),
        "settings": {"variant": variant.name, "threads": variant.threads},
        "notes": [*target.notes, *([f"no percent of the peak: {missing}"] if missing else [])],
    }
    with Worker(lambda: Network(target, variant), where) as worker:
        runs: list[list[float]] = []
        cases = [Case(WHOLE, lambda: float(worker.ask("time_once"))), Case(SUM, lambda: _keep_layers(worker, runs))]

        def keep(samples: Mapping[str, Samples]) -> None:
            if checkpoint and session.checkpoint_is_due():
                checkpoint(session.partial("layers", **_results(facts, samples, runs, session), **content))

        samples = session.measure(cases, keep)
    results = _results(facts, samples, runs, session)
    complete = all(one.complete for one in samples.values())
    return session.finished("layers", verdict=judge(results), complete=complete, **results, **content)


def judge(results: Mapping[str, Any]) -> list[str]:
    """Say in words what takes the time.

    Args:
        results: `rows`, `whole`, `sum` and `depthwise` of the document.
    """
    rows = [row for row in results["rows"] if row["p50_us"] is not None]
    if not rows:
        return []
    together = results["sum"]
    by_type: dict[str, float] = {}
    for row in rows:
        by_type[row["type"]] = by_type.get(row["type"], 0.0) + row["share"]
    kind, share = max(by_type.items(), key=lambda item: item[1])
    said = [f"the layers together take {together['ratio']:.3f} of the whole's time"] if together["ratio"] else []
    depthwise = results["depthwise"]
    return [
        *said,
        f"{kind} takes most of it, {share:.0%}",
        f"{depthwise['layers']} depthwise layers take {depthwise['share']:.0%}",
    ]


def _keep_layers(worker: Worker, runs: list[list[float]]) -> float:
    runs.append(worker.ask("time_layers"))
    return sum(runs[-1])


def _facts(target: Target, variant: Variant, sizes: Sizes) -> tuple[list[dict[str, Any]], str]:
    """What is known of each layer before it is timed, and why there is no roofline."""
    roofline, missing = _roofline()
    kernels = _kernels(target, variant, sizes)
    return [
        {
            "name": layer.name,
            "type": layer.type,
            "module": target.modules.get(layer.tops[0], ""),
            "shape": list(sizes[layer.tops[0]][0]),
            "depthwise": is_depthwise(layer),
            "kernel": kernels.get(layer.name),
            **_limits(layer, sizes, roofline, variant.threads),
        }
        for layer in computing_layers(target.param)
    ], missing


def _roofline() -> tuple[Roofline | None, str]:
    try:
        from dwca_export.bench.roofline import Roofline
    except ImportError as error:
        return None, str(error)
    roofline = Roofline()
    return (None, roofline.missing) if roofline.missing else (roofline, "")


def _limits(layer: Layer, sizes: Sizes, roofline: Roofline | None, threads: int) -> dict[str, Any]:
    work, moved = multiply_adds(layer, sizes), moved_bytes(layer, sizes)
    # Powers of two: a cache holds either of two sizes that are this close, and each costs time to measure.
    limits = roofline.limits(1 << moved.bit_length()) if roofline else None
    return {
        "multiply_adds": work,
        "bytes": moved,
        "peak_multiply_adds": limits.multiply_adds * threads if limits else None,
        "peak_bandwidth": limits.bandwidth * threads if limits else None,
    }


def _kernels(target: Target, variant: Variant, sizes: Sizes) -> dict[str, str]:
    """The kernel that ncnn takes for each layer, as far as its source was read; see `kernel_paths`."""
    host = host_target()
    if host is None or not (variant.winograd and variant.packing and variant.sgemm):
        return {}
    paths = lint(target.param, {blob: shape for blob, (shape, _) in sizes.items()}, [host.name], [variant.mode])
    return {path.layer: path.kernel for path in paths}


def _results(
    facts: Sequence[Mapping[str, Any]],
    samples: Mapping[str, Samples],
    runs: Sequence[Sequence[float]],
    session: Session,
) -> dict[str, Any]:
    whole, together = samples[WHOLE], samples[SUM]
    # The warm-up is at the front, and does not count.
    counted = runs[len(runs) - len(together.seconds) :] if together.seconds else []
    columns = list(zip(*counted, strict=True)) or [()] * len(facts)
    rows = [_row(fact, column, together, session) for fact, column in zip(facts, columns, strict=True)]
    total = sum(row["p50_us"] or 0.0 for row in rows)
    for row in rows:
        row["share"] = row["p50_us"] / total if total and row["p50_us"] is not None else None
    depthwise = [row for row in rows if row["depthwise"]]
    share = sum(row["share"] or 0.0 for row in depthwise) if total else None
    return {
        "rows": rows,
        "whole": timed_row(WHOLE, whole, None, emulated=session.emulated),
        "sum": timed_row(SUM, together, whole, emulated=session.emulated),
        "depthwise": {"layers": len(depthwise), "share": share},
    }


def _row(fact: Mapping[str, Any], column: Sequence[float], together: Samples, session: Session) -> dict[str, Any]:
    samples = Samples(fact["name"], tuple(column), complete=together.complete, fault=together.fault)
    row = timed_row(emulated=session.emulated, samples=samples, base=None, **fact)
    seconds = (row["p50_us"] or 0.0) / _MICRO
    work, moved = (fact[key] / seconds if seconds and fact[key] else None for key in ("multiply_adds", "bytes"))
    peak, bandwidth = row.pop("peak_multiply_adds"), row.pop("peak_bandwidth")
    return {
        **row,
        "gflops": 2 * work / _GIGA if work else None,
        "gbytes_per_second": moved / _GIGA if moved else None,
        "percent_of_peak": 100 * work / peak if work and peak else None,
        "percent_of_bandwidth": 100 * moved / bandwidth if moved and bandwidth else None,
    }
