"""The kernels of depthwise layers as text for people: one table for each layer, then the verdict."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from dwca_export.report.bench_text import remark_lines
from dwca_export.report.grid import grid_text
from dwca_export.report.rows import Table
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

# Not the least: the time of ncnn's layer is a difference, of which the least is the one that went wrong most.
_TIMES = ("p50_us", "p90_us", "mad_us")


def kernels_text(document: Mapping[str, Any], *, width: int) -> str:
    """The report of a measurement of kernels.

    Args:
        document: What `dwca_export.bench.results` describes, of kind `kernels`.
        width: Columns of the terminal.
    """
    parts = [_line(_title(document))]
    for layer, rows in groupby(document["rows"], key=lambda row: row["layer"]):
        parts += _layer(layer, list(rows), width)
    return "".join([*parts, *map(_line, remark_lines(document))])


def _title(document: Mapping[str, Any]) -> str:
    machine, settings = document["machine"], document["settings"]
    threads = f"{settings['threads']} thread{'s' if settings['threads'] > 1 else ''}"
    precision = f"{settings['storage']} storage, {settings['arithmetic']} arithmetic"
    return f"{document['target']['name']}: ncnn {machine['ncnn']} on {machine['cpu']}; {threads}, {precision}"


def _layer(layer: str, rows: Sequence[Row], width: int) -> Iterator[str]:
    sources = rows[0]["sources"]
    yield "\n" + _line(f"{layer}{f' ({_few(sources)})' if sources else ''}")
    shown = [row for row in rows if row["p50_us"] is not None or row["max_error"] is not None]
    if shown:
        yield grid_text(Table(_HEAD, tuple(map(_cells, shown)), len(_HEAD) - 1), width)
    for note, names in _grouped(shown, "note"):
        yield _line(f"{names}: {note}")
    for reason, names in _grouped([row for row in rows if row not in shown], "unavailable"):
        yield _line(f"not available here: {names}: {reason}")


def _grouped(rows: Sequence[Row], key: str) -> Iterator[tuple[str, str]]:
    """What rows say under a key, each text once, with the names of the rows that say it."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if row.get(key):
            names.setdefault(row[key], []).append(row["name"])
    return ((text, ", ".join(found)) for text, found in names.items())


_HEAD = (
    *("kernel", "p50 us", "p90 us", "MAD us", "to ncnn", "95 % interval"),
    *("max error", "epsilons", "of at most", "GFLOP/s", "% of peak", "% of bandwidth"),
)


def _cells(row: Row) -> tuple[str, ...]:
    wrong = " WRONG" if row.get("is_right") is False else ""
    name = f"{row['name']} = {row['algorithm']}" if "algorithm" in row else row["name"]
    return (
        visible(name + wrong),
        *(_number(row[key], ".1f") for key in _TIMES),
        _number(row["ratio"], ".3f"),
        _interval(row),
        _number(row["max_error"], ".1e"),
        _number(row.get("error_epsilons"), ".3g"),
        _number(row.get("error_bound_epsilons"), ".3g"),
        _number(row.get("gflops"), ".1f"),
        _number(row.get("percent_of_peak"), ".0f"),
        _number(row.get("percent_of_bandwidth"), ".0f"),
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _interval(row: Row) -> str:
    if row["ratio"] is None:
        return ""
    if row["ratio_low"] is None or row["ratio_high"] is None:
        return "too few rounds"
    return f"{row['ratio_low']:.3f} to {row['ratio_high']:.3f}"


def _few(names: Sequence[str]) -> str:
    more = len(names) - 2
    return ", ".join(names[:2]) + (f" and {more} more" if more > 0 else "")


def _line(text: str) -> str:
    return visible(text) + "\n"
