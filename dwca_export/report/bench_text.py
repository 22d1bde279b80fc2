"""Documents of measurements as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwca_export.report.grid import grid_text
from dwca_export.report.rows import Table
from dwca_export.report.visible import visible
from dwca_export.shapes import shapes_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MILLI = 1000.0
_MEBI = 1 << 20
_LAYERS_SHOWN = 20


def bench_text(document: Mapping[str, Any], *, width: int, all_layers: bool = False) -> str:
    """The report of a network or of its layers.

    Args:
        document: What `dwca_export.bench.results` describes, of kind `model` or `layers`.
        width: Columns of the terminal.
        all_layers: Whether to show every layer instead of those that take most.
    """
    table = _layer_parts if document["kind"] == "layers" else _model_parts
    return "".join([_title(document), *table(document, width, all_layers), *map(_line, remark_lines(document))])


def comparison_text(document: Mapping[str, Any], *, width: int) -> str:
    """The report of a comparison.

    Args:
        document: What `dwca_export.bench.compare` describes.
        width: Columns of the terminal.
    """
    unit, name = _unit([row["old_p50_us"] for row in document["rows"]])
    rows = [
        (
            row["name"],
            "too slow" if row["too_slow"] else row["verdict"],
            _number(row["old_p50_us"], unit),
            _number(row["new_p50_us"], unit),
            *_ratio(row),
        )
        for row in document["rows"]
    ]
    head = ("name", "verdict", f"old p50 {name}", f"new p50 {name}", "ratio", "95 % interval")
    lines = [f"note: {note}" for note in document["notes"]]
    lines += [f"only in the older one: {name}" for name in document["missing"]]
    lines += [f"only in the newer one: {name}" for name in document["added"]]
    lines += [f"verdict: {document['verdict']}"]
    return grid_text(_table(head, rows, numbers=4), width) + "".join(map(_line, lines))


def remark_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What is to be said below the tables of any document: notes, warnings, and the verdict."""
    if not document["complete"]:
        yield "interrupted: this is what was measured until then"
    if document["emulated"]:
        yield "no times: the CPU is emulated; count instructions instead, with tools/icount"
    for note in document.get("notes", ()):
        yield f"note: {note}"
    for warning in document["warnings"]:
        yield f"warning: {warning['what']}: {warning['advice']}"
    for sentence in document["verdict"]:
        yield f"verdict: {sentence}"


def _title(document: Mapping[str, Any]) -> str:
    target, machine = document["target"], document["machine"]
    name = f"{target['name']} ({shapes_text(target['shapes'])}, {target['inputs']})"
    return _line(f"{name}: ncnn {machine['ncnn']} on {machine['cpu']} ({machine['architecture']})")


def _model_parts(document: Mapping[str, Any], width: int, _: bool) -> Iterator[str]:
    rows = document["rows"]
    if document["emulated"]:
        table = [(row["name"], _error(row), _mebi(row["weights_bytes"])) for row in rows if row["rounds"]]
        yield grid_text(_table(("variant", "max error", "weights MiB"), table, numbers=2), width)
    else:
        yield grid_text(_model_table(rows), width)
    for row in rows:
        if row["unavailable"] and not (document["emulated"] and row["rounds"]):
            yield _line(f"{row['name']}: {row['unavailable']}")
        if row["fault"]:
            yield _line(f"{row['name']}: wrong: {row['fault']}")
        if row["same_bits_as"]:
            why = ", because no layer of this network takes Winograd" if row["same_kernels"] else ""
            yield _line(f"{row['name']}: every bit as in {row['same_bits_as']}{why}")


def _model_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    timed = [row for row in rows if row["p50_us"] is not None]
    unit, name = _unit([row["p50_us"] for row in timed])
    cells = [
        (
            row["name"],
            *(_number(row[key], unit) for key in ("p50_us", "p90_us", "p99_us", "min_us", "mad_us")),
            *_ratio(row),
            _mebi(row["peak_rss_bytes"]),
            _mebi(row["weights_bytes"]),
            _error(row),
        )
        for row in timed
    ]
    times = tuple(f"{figure} {name}" for figure in ("p50", "p90", "p99", "min", "MAD"))
    head = ("variant", *times, "ratio", "95 % interval", "peak RSS MiB", "weights MiB", "max error")
    return _table(head, cells, numbers=len(head) - 1)


def _layer_parts(document: Mapping[str, Any], width: int, all_layers: bool) -> Iterator[str]:
    rows = document["rows"]
    if document["emulated"]:
        yield _line(f"{document['depthwise']['layers']} of {len(rows)} layers are depthwise")
        return
    timed = sorted((row for row in rows if row["p50_us"] is not None), key=lambda row: -row["p50_us"])
    shown = rows if all_layers else timed[:_LAYERS_SHOWN]
    unit, name = _unit([document["whole"]["p50_us"] or 0.0])
    yield grid_text(_layer_table([row for row in shown if row["p50_us"] is not None], unit, name), width)
    if len(shown) < len(timed):
        rest = sum(row["share"] or 0.0 for row in timed[_LAYERS_SHOWN:])
        yield _line(f"and {len(timed) - len(shown)} more that take {rest:.0%} together: --all-layers shows them")
    whole, together = document["whole"], document["sum"]
    if together["ratio"] is not None:
        layers_sum, all_of_it = (f"{_number(row['p50_us'], unit)} {name}" for row in (together, whole))
        difference = f"{together['ratio'] - 1:+.1%} in the same rounds, from stopping at every layer"
        yield _line(f"sum of layers {layers_sum}, the whole {all_of_it}; {difference}")


def _layer_table(rows: Sequence[Mapping[str, Any]], unit: float, name: str) -> Table:
    cells = [
        (
            row["name"],
            f"{row['type']} (depthwise)" if row["depthwise"] else row["type"],
            "x".join(map(str, row["shape"])),
            row["kernel"] or "",
            _number(row["p50_us"], unit),
            _number(row["mad_us"], unit),
            "" if row["share"] is None else f"{row['share']:.1%}",
            _short(row["gflops"]),
            _short(row["gbytes_per_second"]),
            _short(row["percent_of_peak"]),
            _short(row["percent_of_bandwidth"]),
        )
        for row in rows
    ]
    figures = (f"p50 {name}", f"MAD {name}", "share", "GFLOP/s", "GB/s", "% of peak", "% of bandwidth")
    return _table(("layer", "type", "output", "kernel", *figures), cells, numbers=len(figures))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], numbers: int) -> Table:
    return Table(head, tuple(tuple(map(visible, row)) for row in rows), numbers)


def _line(text: str) -> str:
    return visible(text) + "\n"


def _unit(times: Sequence[float]) -> tuple[float, str]:
    """Microseconds, or milliseconds where all are longer than one; what a unit has of microseconds, and its name."""
    return (_MILLI, "ms") if times and min(times) >= _MILLI else (1.0, "us")


def _number(microseconds: float | None, unit: float) -> str:
    return "" if microseconds is None else f"{microseconds / unit:.3f}" if unit > 1 else f"{microseconds:.1f}"


def _ratio(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["ratio"] is None:
        return "", ""
    known = row["ratio_low"] is not None and row["ratio_high"] is not None
    return f"{row['ratio']:.3f}", f"{row['ratio_low']:.3f} to {row['ratio_high']:.3f}" if known else "too few rounds"


def _mebi(bytes_: int | None) -> str:
    return "" if bytes_ is None else f"{bytes_ / _MEBI:.1f}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _error(row: Mapping[str, Any]) -> str:
    return "" if row["max_error"] is None else f"{row['max_error']:.1e}"
