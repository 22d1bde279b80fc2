"""Rows and regions to text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEADS = ("layer", "CPU", "storage", "arithmetic", "kernel", "pack", "instructions", "per output", "per 4", "to ncnn")
_NUMBERS_FROM = 5


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """All rows, below a row its "mix", and what could not be counted."""
    stock = {_place(row): row["per_4_outputs"] for row in rows if row["name"] == "ncnn" and "unavailable" not in row}
    counted = [row for row in rows if "unavailable" not in row]
    cells = [_HEADS, *(_cells(row, stock.get(_place(row))) for row in counted)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(line, widths) for line in cells]
    for i, row in reversed(list(enumerate(counted, start=1))):
        lines[i + 1 : i + 1] = [f"    {name:12} {count:8.2f}" for name, count in row.get("mix", {}).items()]
    return "\n".join([*lines, *_not_counted(rows)])


def _not_counted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    layers: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if "unavailable" in row:
            case = row["name"], row["cpu"], row["storage"], row["arithmetic"], row["unavailable"]
            layers.setdefault(case, []).append(row["layer"])
    return [
        f"not counted: {name}, {cpu}, {storage} / {arithmetic} ({', '.join(of)}): {why}"
        for (name, cpu, storage, arithmetic, why), of in layers.items()
    ]


def listings(rows: Sequence[Mapping[str, Any]]) -> str:
    """The "blocks" of all rows."""
    lines = []
    for row in rows:
        for block in row.get("blocks", ()):
            share = 100 * len(block["code"]) * block["executions"] / row["instructions"]
            lines.append(f"\n{', '.join(_place(row))}, {row['name']}")
            lines.append(f"{len(block['code'])} instructions, {block['executions']:,.0f} times, {share:.1f} % of all")
            lines += [f"    {instruction}" for instruction in block["code"]]
    return "\n".join(lines)


def _place(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["layer"], row["cpu"], row["storage"], row["arithmetic"]


def _cells(row: Mapping[str, Any], stock: float | None) -> tuple[str, ...]:
    per_4 = row["per_4_outputs"]
    return (
        *_place(row),
        row["name"],
        str(row["elempack"]),
        f"{row['instructions']:,}",
        f"{row['per_output']:.2f}",
        f"{per_4:.2f}",
        f"{per_4 / stock:.2f}" if stock else "",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    texts = [cell.ljust(width) for cell, width in zip(cells[:_NUMBERS_FROM], widths, strict=False)]
    numbers = [cell.rjust(width) for cell, width in zip(cells[_NUMBERS_FROM:], widths[_NUMBERS_FROM:], strict=True)]
    return "  ".join([*texts, *numbers]).rstrip()
