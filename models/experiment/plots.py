"""The plots of docs/pages/comparison.md: SVG files that are the same for the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore] # an optional dependency
from matplotlib import pyplot as plt  # type: ignore[import-not-found, unused-ignore]

from models.experiment.statistics import mean_interval
from models.experiment.tables import SHORT, TITLES
from models.experiment.verdict import LOOKALIKES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes  # type: ignore[import-not-found, unused-ignore]
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

    Document = Mapping[str, Any]

# Okabe and Ito's colours, which everybody can tell apart, and a marker of its own for each.
STYLE = {
    "baseline": ("#000000", "s"),
    "dwca": ("#D55E00", "o"),
    "baseline_same_macs": ("#0072B2", "^"),
    "baseline_same_latency": ("#009E73", "D"),
    "plain5x5": ("#56B4E9", "v"),
    "attention3x3": ("#CC79A7", "P"),
    "dwca_batchnorm": ("#F0A000", "X"),
    "se5x5": ("#8C2D04", "<"),
    "dwca_no_residual": ("#777777", ">"),
}
OTHER = ("#777777", ".")
SETTINGS: Any = {
    "svg.hashsalt": "dwca-export",
    "svg.fonttype": "path",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
}
NAMES = ("accuracy", "length", "cost", "receptive-field")


def draw(document: Document, folder: Path, suffix: str = "svg") -> list[str]:
    """Draw what there are figures of.

    Args:
        document: As docs/comparison.json has it.
        folder: Made if it is not there.
        suffix: `svg`, or `png` to look at.

    Returns:
        Names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("Agg")
    with mpl.rc_context(SETTINGS):
        plots = _plots(document)
        for name, plot in plots.items():
            # No date: the same figures make the same file.
            plot.savefig(folder / f"{name}.{suffix}", metadata={"Date": None} if suffix == "svg" else None, dpi=110)
            plt.close(plot)
    return [f"{name}.{suffix}" for name in plots]


def _plots(document: Document) -> dict[str, Figure]:
    plots = {}
    if "objects" in document:
        plots["accuracy"] = _accuracy(document["objects"]["variants"])
        plots["length"] = _length(document)
    if any(row["task"] == "objects" for row in document.get("cost", {}).get("rows", ())) and "objects" in document:
        plots["cost"] = _cost(document)
    if "receptive_field" in document:
        plots["receptive-field"] = _field(document["receptive_field"]["variants"])
    return plots


def _accuracy(variants: Document) -> Figure:
    """Accuracy of every variant, with its interval over seeds."""
    plot, axes = plt.subplots(1, 2, figsize=(9, 0.36 * len(variants) + 1), sharey=True, layout="constrained")
    for at, (measure, title) in zip(
        axes, (("accuracy", "all eleven classes"), (LOOKALIKES, "look-alikes")), strict=True
    ):
        for place, (name, one) in enumerate(variants.items()):
            _point(at, one[measure], place, name)
        at.set(title=title, xlabel="accuracy, % (bars: 95 % interval over seeds)")
        at.grid(axis="x", color="#e4e4e4")
    axes[0].set_yticks(range(len(variants)), [TITLES[name] for name in variants])
    axes[0].set_ylim(len(variants) - 0.5, -0.5)
    return plot


def _point(at: Axes, values: Sequence[float], place: float, name: str) -> None:
    colour, marker = STYLE.get(name, OTHER)
    estimate = mean_interval([100 * value for value in values])
    if estimate.low is not None and estimate.high is not None:
        at.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=1.4)
    at.plot(estimate.mean, place, marker, color=colour, markersize=6)


def _length(document: Document) -> Figure:
    """Accuracy and mAP against the length of the object."""
    shown = [("objects", "classification: accuracy, %")]
    shown += [("scenes", "detection: mAP@0.5, %")] if "scenes" in document else []
    plot, axes = plt.subplots(1, len(shown), figsize=(4.6 * len(shown), 3.6), squeeze=False, layout="constrained")
    for at, (task, label) in zip(axes[0], shown, strict=True):
        variants = document[task]["variants"]
        for name in (name for name in SHORT if name in variants):
            _line(at, variants[name]["by_length"], name)
        bins = list(next(iter(variants.values()))["by_length"])
        at.set_xticks(range(len(bins)), bins)
        at.set(xlabel="length of the object, px", ylabel=label)
        at.grid(axis="y", color="#e4e4e4")
    axes[0][0].legend()
    return plot


def _line(at: Axes, by_length: Mapping[str, Sequence[float | None]], name: str) -> None:
    colour, marker = STYLE[name]
    shift = 0.06 * (SHORT.index(name) - 1.5)
    points = []
    for place, values in enumerate(by_length.values()):
        known = [100 * value for value in values if value is not None]
        if known:
            estimate = mean_interval(known)
            points.append((place + shift, estimate.mean))
            if estimate.low is not None and estimate.high is not None:
                at.plot([place + shift] * 2, [estimate.low, estimate.high], color=colour, linewidth=1.2)
    at.plot(*zip(*points, strict=True), marker=marker, color=colour, markersize=5, linewidth=1.2, label=TITLES[name])


def _cost(document: Document) -> Figure:
    """Accuracy against latency and against multiply-adds."""
    variants = document["objects"]["variants"]
    rows = [row for row in document["cost"]["rows"] if row["task"] == "objects" and row["variant"] in variants]
    plot, axes = plt.subplots(1, 2, figsize=(9, 4.4), sharey=True, layout="constrained")
    for row in rows:
        name = row["variant"]
        colour, marker = STYLE.get(name, OTHER)
        estimate = mean_interval([100 * value for value in variants[name]["accuracy"]])
        for at, x in zip(axes, (row["latency"]["value"], row["multiply_adds"] / 1e6), strict=True):
            if estimate.low is not None and estimate.high is not None:
                at.plot([x, x], [estimate.low, estimate.high], color=colour, linewidth=1.2)
            at.plot(x, estimate.mean, marker, color=colour, markersize=7, label=TITLES[name])
    axes[0].set(xlabel="latency in ncnn, baseline = 1", ylabel="accuracy, %")
    axes[1].set(xlabel="multiply-adds, millions")
    for at in axes:
        at.grid(color="#e4e4e4")
    plot.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return plot


def _field(variants: Document) -> Figure:
    """Share of the gradient within centred squares."""
    plot, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for at, (part, title) in zip(
        axes, (("stage", "last stage, of the image"), ("block", "one block, of its input")), strict=True
    ):
        for name, one in variants.items():
            squares = one[part]["squares"]
            sides = [2 * half + 1 for half in range(len(squares))]
            at.plot(sides, [100 * share for share in squares], color=STYLE[name][0], linewidth=1.6, label=TITLES[name])
        at.set(title=title, xlabel="side of the square, px", ylabel="share of the gradient within, %", ylim=(0, 102))
        at.grid(color="#e4e4e4")
    axes[0].legend()
    return plot
