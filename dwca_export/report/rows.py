"""A manifest's figures as tables of text, for every kind of report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwca_export.report.visible import visible
from dwca_export.shapes import shapes_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        head: Names of the columns.
        rows: One text per column.
        numbers: How many of the last columns are numbers.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int


def number(value: float | None, *, exact: bool) -> str:
    """An error for people.

    Args:
        value: The error; None if it is not finite.
        exact: Whether the two tensors are equal.
    """
    return "equal" if exact else "not finite" if value is None else f"{value:.1e}"


def decibels(figures: Mapping[str, Any]) -> str:
    """Rounded down, as all that is better the larger it is: a figure that is better than the truth is a false one."""
    return "" if figures["sqnr_db"] is None else f"{math.floor(figures['sqnr_db'])}"


def parity_table(manifest: dict[str, Any], *, worst_only: bool = False) -> Table:
    """One row per pair of backends and output.

    Args:
        manifest: What `manifest.json` says.
        worst_only: Whether to show only the output with the largest error of each pair.
    """
    rows = []
    for comparison in manifest["parity"]:
        outputs = comparison["outputs"]
        if worst_only and len(outputs) > 1:
            worst = max(outputs, key=lambda output: float(output["relative_l2"]))
            outputs = [{**worst, "output": f"{worst['output']} (worst of {len(outputs)})"}]
        pair = (comparison["reference"], comparison["candidate"])
        rows += [tuple(map(visible, (*pair, *_figures(output)))) for output in outputs]
    head = ("from", "to", "output", "relative L2", "channel L2", "max abs", "SQNR dB", "top-1")
    return Table(head, tuple(rows), numbers=5)


def _figures(output: dict[str, Any]) -> tuple[str, ...]:
    exact = output["max_abs"] == 0
    return (
        output["output"],
        number(output["relative_l2"], exact=exact),
        "" if output["channel_l2"] is None else number(output["channel_l2"], exact=exact),
        number(output["max_abs"], exact=exact),
        decibels(output),
        "" if output["top1"] is None else f"{math.floor(100 * output['top1'])} %",
    )


def contrast_table(manifest: dict[str, Any]) -> Table:
    """One row per size and output: how much it changes between the samples."""
    rows = [
        (
            visible(contrast["reference"]),
            visible(contrast["output"]),
            contrast["verdict"],
            f"{contrast['relative_l2']:.1e}",
            "" if contrast["channel_l2"] is None else f"{contrast['channel_l2']:.1e}",
        )
        for contrast in manifest["contrasts"]
    ]
    return Table(("of", "output", "proof", "change", "of a channel"), tuple(rows), numbers=2)


def size_table(manifest: dict[str, Any]) -> Table:
    """One row per input size that parity was proven at, with the data."""
    rows = [
        (shapes_text(entry["shapes"]), visible(entry["samples"]["origin"]), str(entry["samples"]["count"]))
        for entry in manifest["proven"]
    ]
    return Table(("proven at", "on", "samples"), tuple(rows), numbers=1)


def block_table(manifest: dict[str, Any]) -> Table:
    """One row per block with coordinate attention."""
    head = ("block", "depthwise", "norm", "residual", "stride", "channels", "reduced", "reduction")
    return Table(head, tuple(tuple(map(visible, _block(block))) for block in manifest["blocks"]), numbers=4)


def _block(block: dict[str, Any]) -> Sequence[str]:
    kernel = block["depthwise_kernel"]
    return (
        block["name"],
        f"{kernel}x{kernel}" if kernel else "none",
        f"GroupNorm {block['groups']}" if block["groups"] else "folded",
        "yes" if block["residual"] else "no",
        str(block["stride"]) if kernel else "",
        str(block["channels"]),
        str(block["reduced"]),
        str(block["reduction"]),
    )
