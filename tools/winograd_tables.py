"""The tables of docs/pages/winograd.md and of docs/pages/instructions.md, of the figures in docs/winograd.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Figures = Mapping[str, Sequence[Mapping[str, Any]]]

ALGORITHMS = (
    "direct",
    "winograd_1d F(2,K)",
    "winograd_1d F(4,K)",
    "winograd_1d F(6,K)",
    "winograd_2d F(2x2,KxK)",
    "winograd_2d F(4x4,KxK)",
    "generic",
)
"""As the columns name them: K is the size of the kernel, so that one column has those of 3x3 and of 5x5."""

STOCK = "ncnn"
X86 = {"avx512": "AVX-512", "avx2": "AVX2"}
PRECISIONS = {
    ("fp16", "fp32"): "fp16 storage",
    ("fp16", "fp16"): "fp16 arithmetic",
    ("bf16", "fp32"): "bf16 storage",
}
FP32 = ("fp32", "fp32")
CPU = "cortex-a76"


def family(name: str) -> str:
    """The column of an algorithm: `winograd_1d F(4,5)` is one of `winograd_1d F(4,K)`."""
    head, _, form = name.partition("F(")
    if not form:
        return name
    kept, kernel = form.rstrip(")").split(",")
    return f"{head}F({kept},{'KxK' if 'x' in kernel else 'K'})"


def spoken(layer: str) -> str:
    """A layer as the pages write it: `5x5 stride 2, 64x56x56`."""
    shape, kernel, stride = layer.split()
    size = kernel[1:]
    return f"{size}x{size}{'' if stride == 's1' else f' stride {stride[1:]}'}, {shape}"


def tables(figures: Figures) -> dict[str, str]:
    """All tables by their titles."""
    found = {f"Time, {title}": ratios(figures[isa]) for isa, title in X86.items() if isa in figures}
    if "avx512" in figures:
        found["Speed, AVX-512"] = speeds(figures["avx512"])
        found["Errors, AVX-512"] = errors(figures["avx512"])
    if "aarch64" in figures:
        found["Instructions, fp32"] = counts(figures["aarch64"])
        found["Instructions, other precisions"] = precisions(figures["aarch64"])
    return found


def ratios(rows: Sequence[Mapping[str, Any]]) -> str:
    """Time to ncnn's, with the interval that holds it at 95 %."""
    return _by_layer(rows, lambda row: f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})")


def errors(rows: Sequence[Mapping[str, Any]]) -> str:
    """Largest error, in epsilons."""
    return _by_layer(rows, lambda row: f"{row['error_epsilons']:.3g}", ("ncnn", *ALGORITHMS))


def _by_layer(rows: Sequence[Mapping[str, Any]], cell: Any, columns: Sequence[str] = ALGORITHMS) -> str:
    found = {(row["layer"], family(row["name"])): cell(row) for row in rows}
    layers = dict.fromkeys(row["layer"] for row in rows)
    lines = [[spoken(layer), *(found.get((layer, name), "") for name in columns)] for layer in layers]
    return markdown(("Layer", *_code(columns)), lines)


def speeds(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many times as fast as ncnn the direct kernel is, and the fastest Winograd."""
    lines = []
    for layer in dict.fromkeys(row["layer"] for row in rows):
        own = [row for row in rows if row["layer"] == layer]
        winograd = [row for row in own if row["name"].startswith("winograd")]
        direct = next(row for row in own if row["name"] == "direct")
        cells = [spoken(layer), _speed(direct), f"{direct['percent_of_peak']:.0f} %"]
        best = min(winograd, key=lambda row: row["ratio"], default=None)
        lines.append([*cells, f"`{best['name']}`: {_speed(best)}" if best else ""])
    return markdown(("Layer", "`direct`", "of the FMA peak", "fastest Winograd"), lines)


def _speed(row: Mapping[str, Any]) -> str:
    return f"{1 / row['ratio']:.2f} ({1 / row['ratio_high']:.2f} to {1 / row['ratio_low']:.2f})"


def counts(rows: Iterable[Mapping[str, Any]]) -> str:
    """Instructions for an output of four channels, in fp32."""
    own = [row for row in rows if row["cpu"] == CPU and (row["storage"], row["arithmetic"]) == FP32]
    layers = dict.fromkeys(row["layer"] for row in own)
    found = {(row["layer"], family(row["name"])): f"{row['per_4_outputs']:.1f}" for row in own}
    names = (STOCK, *ALGORITHMS)
    lines = [[f"`{name}`", *(found.get((layer, name), "") for layer in layers)] for name in names]
    return markdown(("Kernel", *map(spoken, layers)), lines)


def precisions(rows: Iterable[Mapping[str, Any]]) -> str:
    """Instructions of the direct kernel in other precisions, ncnn's in brackets."""
    own = [row for row in rows if row["cpu"] == CPU and row["name"] in (STOCK, "direct")]
    layers = dict.fromkeys(row["layer"] for row in own)
    found = {(row["layer"], row["storage"], row["arithmetic"], row["name"]): row["per_4_outputs"] for row in own}
    lines = []
    for precision, title in PRECISIONS.items():
        pairs = [[found[(layer, *precision, name)] for name in ("direct", STOCK)] for layer in layers]
        lines.append([title, *(f"{ours:.1f} ({stock:.1f})" for ours, stock in pairs)])
    return markdown(("Precision", *map(spoken, layers)), lines)


def _code(names: Iterable[str]) -> list[str]:
    return [f"`{name}`" for name in names]


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table; columns that are empty in every line are left out."""
    kept = [list(line) for line in lines]
    used = [i for i in range(len(heads)) if any(line[i] for line in kept)]
    chosen = [[line[i] for i in used] for line in [list(heads), *kept]]
    chosen.insert(1, ["---"] * len(used))
    rows = (" | ".join(line) for line in chosen)
    return "\n".join(f"| {row} |".replace("|  ", "| ") for row in rows)
