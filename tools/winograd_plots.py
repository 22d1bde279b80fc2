"""The plots of docs/pages/winograd.md: SVG files that are the same for the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from tools.winograd_tables import ALGORITHMS, CPU, FP32, STOCK, X86, family, spoken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Row = Mapping[str, Any]

# Okabe and Ito's colours, which everybody can tell apart, and a marker of its own for each.
STYLE = {
    STOCK: ("#000000", "s"),
    "direct": ("#0072B2", "o"),
    "winograd_1d F(2,K)": ("#F0A000", "v"),
    "winograd_1d F(4,K)": ("#D55E00", "^"),
    "winograd_1d F(6,K)": ("#8C2D04", "D"),
    "winograd_2d F(2x2,KxK)": ("#35B597", "P"),
    "winograd_2d F(4x4,KxK)": ("#00614A", "X"),
}
SHOWN = tuple(name for name in ALGORITHMS if name in STYLE)

SETTINGS = {
    "svg.hashsalt": "dwca-export",
    "svg.fonttype": "path",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def draw(figures: Mapping[str, Sequence[Row]], folder: Path, suffix: str = "svg") -> None:
    """Draw what there are figures of.

    Args:
        figures: As docs/winograd.json has them.
        folder: Made if it is not there.
        suffix: `svg`, or `png` to look at.
    """
    folder.mkdir(parents=True, exist_ok=True)
    x86 = {isa: figures[isa] for isa in X86 if isa in figures}
    mpl.use("Agg")
    with mpl.rc_context(SETTINGS):
        plots = {}
        if x86:
            plots["winograd-time"] = _times(x86)
            plots["winograd-error"] = _errors(x86)
        if "aarch64" in figures:
            plots["winograd-instructions"] = _instructions(figures["aarch64"])
        for name, plot in plots.items():
            # No date: the same figures make the same file.
            plot.savefig(folder / f"{name}.{suffix}", metadata={"Date": None} if suffix == "svg" else None, dpi=110)
            plt.close(plot)


def _times(x86: Mapping[str, Sequence[Row]]) -> Figure:
    """Time to ncnn's of every kernel, one line per layer."""
    plot, axes = plt.subplots(1, len(x86), figsize=(10, 6.4), sharey=True, squeeze=False, layout="constrained")
    for at, (isa, rows) in zip(axes[0], x86.items(), strict=True):
        layers = list(dict.fromkeys(row["layer"] for row in rows))
        for place, layer in enumerate(layers):
            _line_of_times(at, [row for row in rows if row["layer"] == layer], place)
        at.set_yticks(range(len(layers)), map(spoken, layers))
        at.set_ylim(len(layers) - 0.45, -0.55)
        at.set(title=X86[isa], xlabel="time, ncnn's stock kernel = 1 (bars: 95 % interval)", xscale="log")
        ticks = (0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 3)
        at.set_xticks(ticks, map("{:g}".format, ticks))
        at.minorticks_off()
        at.axvline(1, color=STYLE[STOCK][0], linewidth=1.2)
        at.axvline(0.5, color="#888888", linewidth=0.8, linestyle=":")
        at.grid(axis="x", color="#e4e4e4")
    _legend(plot, axes[0][0])
    return plot


def _line_of_times(at: Axes, rows: Sequence[Row], place: int) -> None:
    if place % 2:
        at.axhspan(place - 0.5, place + 0.5, color="#f5f5f5", zorder=0)
    found = {family(row["name"]): row for row in rows}
    names = [name for name in SHOWN if name in found]
    for index, name in enumerate(names):
        row, (colour, marker) = found[name], STYLE[name]
        y = place + (index - (len(names) - 1) / 2) * 0.13
        at.plot([row["ratio_low"], row["ratio_high"]], [y, y], color=colour, linewidth=1.4)
        at.plot(row["ratio"], y, marker, color=colour, markersize=5.5, linestyle="", label=name)


def _errors(x86: Mapping[str, Sequence[Row]]) -> Figure:
    """Error against time, of layers that Winograd can compute."""
    rows = next(iter(x86.values()))
    plot, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
    for at, kernel in zip(axes, ("k5", "k3"), strict=True):
        for row in rows:
            if row["layer"].split()[1:] == [kernel, "s1"] and family(row["name"]) in STYLE:
                colour, marker = STYLE[family(row["name"])]
                label = family(row["name"])
                at.plot(
                    row["ratio"], row["error_epsilons"], marker, color=colour, markersize=7, alpha=0.85, label=label
                )
        at.set(title=f"{kernel[1]}x{kernel[1]}, stride 1, {X86[next(iter(x86))]}", yscale="log")
        ticks = (1, 2, 5, 10, 20, 50)
        at.set_yticks(ticks, map(str, ticks))
        at.minorticks_off()
        at.margins(x=0.08)
        at.set_xlabel("time, ncnn's stock kernel = 1")
        at.grid(color="#e4e4e4")
        at.set_xlim(left=0)
    axes[0].set_ylabel("largest error, epsilons of float32")
    _legend(plot, axes[0])
    return plot


def _instructions(rows: Sequence[Row]) -> Figure:
    """Instructions of every kernel, side by side, one group per layer."""
    own = [row for row in rows if row["cpu"] == CPU and (row["storage"], row["arithmetic"]) == FP32]
    layers = list(dict.fromkeys(row["layer"] for row in own))
    plot, at = plt.subplots(figsize=(10, 4.6), layout="constrained")
    names = tuple(STYLE)
    for row in own:
        name = family(row["name"])
        if name not in STYLE:
            continue
        x = layers.index(row["layer"]) + (names.index(name) - (len(names) - 1) / 2) * 0.125
        at.bar(x, row["per_4_outputs"], 0.115, color=STYLE[name][0], label=name)
        at.text(x, row["per_4_outputs"] + 1, f"{row['per_4_outputs']:.0f}", ha="center", va="bottom", fontsize=7)
    at.set_xticks(range(len(layers)), map(spoken, layers))
    at.set_ylabel("AArch64 instructions for\nfour channels of one output, fp32")
    at.grid(axis="y", color="#e4e4e4")
    _legend(plot, at)
    return plot


def _legend(plot: Figure, at: Axes) -> None:
    handles = dict(zip(*reversed(at.get_legend_handles_labels()), strict=True))
    names = [name for name in STYLE if name in handles]
    plot.legend([handles[name] for name in names], names, loc="outside lower center", ncols=4, handlelength=1.2)
