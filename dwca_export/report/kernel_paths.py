"""Kernel paths as text for people: what each target and mode does with a network, and what is missed."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from dwca_export.kernel_paths.facts import NCNN_COMMIT, NCNN_DATE
from dwca_export.kernel_paths.finding import KINDS, findings
from dwca_export.report.grid import grid_text
from dwca_export.report.rows import Table
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dwca_export.kernel_paths.finding import Finding
    from dwca_export.kernel_paths.lint import KernelPath

_WIDTH = 120
_EXAMPLES = 2


def kernel_paths_text(paths: Sequence[KernelPath], *, width: int = _WIDTH, every_layer: bool = False) -> str:
    """The summary, the findings, and on request every layer, as plain text.

    Args:
        paths: What `lint` returned.
        width: Columns of the tables.
        every_layer: Whether to list the kernel of every layer too.
    """
    parts = [
        f"Kernels that ncnn takes, by its source of {NCNN_DATE} ({NCNN_COMMIT[:8]})",
        grid_text(summary_table(paths), width),
        _finding_lines(findings(paths)),
    ]
    if every_layer:
        parts.append(grid_text(path_table(paths), width))
    return "\n".join(parts)


def summary_table(paths: Iterable[KernelPath]) -> Table:
    """One row per target and mode: how many layers there are, how many miss a fast kernel, and what is converted."""
    groups = groupby(paths, key=lambda path: (path.target, path.mode))
    rows = tuple((*names, *_counts(tuple(group))) for names, group in groups)
    return Table(("target", "mode", "layers", "fast", "missed", "not known", "casts", "repacks"), rows, numbers=6)


def _counts(paths: Sequence[KernelPath]) -> tuple[str, ...]:
    speeds = [path.fast for path in paths]
    steps = [step for path in paths for step in path.conversions]
    casts, repacks = (sum(step.startswith(word) for step in steps) for word in ("cast", "repack"))
    counts = (len(paths), speeds.count(True), speeds.count(False), speeds.count(None), casts, repacks)
    return tuple(map(str, counts))


def finding_table(found: Iterable[Finding]) -> Table:
    """One row for findings that differ in target, mode and layer alone, the gravest first."""
    together: dict[tuple[str, ...], list[Finding]] = {}
    for finding in found:
        key = (finding.kind, finding.type, finding.what, finding.remedy)
        together.setdefault(key, []).append(finding)
    ordered = sorted(together.values(), key=lambda group: KINDS.index(group[0].kind))
    head = ("kind", "type", "where", "layers", "what", "remedy")
    return Table(head, tuple(tuple(map(visible, _finding_row(group))) for group in ordered), numbers=0)


def _finding_row(group: Sequence[Finding]) -> tuple[str, ...]:
    modes: dict[str, dict[str, None]] = {}
    for finding in group:
        modes.setdefault(finding.target, {})[finding.mode] = None
    where = "; ".join(f"{target} {', '.join(names)}" for target, names in modes.items())
    names = tuple(dict.fromkeys(finding.module or finding.layer for finding in group))
    more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    first = group[0]
    return (first.kind, first.type, where, ", ".join(names[:_EXAMPLES]) + more, first.what, first.remedy)


def _finding_lines(found: Iterable[Finding]) -> str:
    """The same as three lines each, which wrap better than columns."""
    lines = []
    for kind, layer_type, where, layers, what, remedy in finding_table(found).rows:
        lines += [f"{kind}: {layer_type} {layers}", f"  {where}", f"  {what}", *([f"  -> {remedy}"] if remedy else [])]
    return "".join(f"{line}\n" for line in lines)


def path_table(paths: Iterable[KernelPath]) -> Table:
    """One row per target, mode and layer."""
    head = ("target", "mode", "layer", "type", "elempack", "storage", "kernel", "speed", "source")
    rows = tuple(tuple(map(visible, _path_row(path))) for path in paths)
    return Table(head, rows, numbers=0)


def _path_row(path: KernelPath) -> tuple[str, ...]:
    written = path.written[0]
    packs, storages = (
        " to ".join(dict.fromkeys(str("?" if value is None else value) for value in values))
        for values in ((path.read.elempack, written.elempack), (path.read.storage, written.storage))
    )
    return (path.target, path.mode, path.layer, path.type, packs, storages, path.kernel, path.speed, path.source)
