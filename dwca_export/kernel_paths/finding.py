"""What is worth telling of the kernels that a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from dwca_export.kernel_paths.machine import TARGETS
from dwca_export.kernel_paths.remedies import more_channels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dwca_export.kernel_paths.lint import KernelPath

Kind: TypeAlias = Literal["wrong", "scalar", "generic", "copies", "casts", "narrow", "mask", "unknown"]

KINDS: tuple[Kind, ...] = ("wrong", "scalar", "generic", "copies", "casts", "narrow", "mask", "unknown")
"""The gravest first."""

_INT8_MASK = 8


@dataclass(frozen=True)
class Finding:
    """One layer that misses a fast path.

    Attributes:
        layer: Name of the layer.
        module: The torch module that it comes from, empty where the param does not tell.
        type: Layer type.
        target: Name of the target.
        mode: Name of the precision mode.
        kind: `wrong`: computes nonsense. `scalar`, `generic`, `copies`: the kernel's speed. `casts`: has no kernel for
            the 16 bit numbers that it gets. `narrow`: a fast kernel with empty lanes. `mask`: the layer's `31=` costs
            a kernel, or does nothing. `unknown`: not in the table of facts.
        what: What happens, and why.
        remedy: What can be done, empty where nothing is known.
    """

    layer: str
    module: str
    type: str
    target: str
    mode: str
    kind: Kind
    what: str
    remedy: str


def findings(paths: Iterable[KernelPath]) -> tuple[Finding, ...]:
    """The findings of these paths, in their order."""
    return tuple(finding for path in paths for finding in _of(path))


def _of(path: KernelPath) -> Iterator[Finding]:
    if path.speed != "fast":
        kind: Kind = next(kind for kind in KINDS if kind == path.speed)
        what = path.reason if kind == "unknown" else f"{path.kernel}: {path.reason}"
        yield _finding(path, kind, what, path.remedy)
    elif path.empty_lanes:
        pack = path.read.elempack or 1
        what = f"{path.kernel} leaves {path.empty_lanes} of {path.empty_lanes + pack} lanes empty"
        yield _finding(path, "narrow", what, more_channels(path.read.shape[0], path.empty_lanes + pack))
    if any(step.endswith("to fp32") for step in path.conversions):
        steps = ", ".join(dict.fromkeys(path.conversions))
        remedy = path.remedy or "compare with fp32, which needs no casts"
        yield _finding(path, "casts", f"{steps}: no kernel in 16 bits", remedy)
    if path.unmasked and path.speed != "wrong":
        yield _finding(path, "mask", f"31={path.mask} takes {path.kernel} instead of {path.unmasked}", "")
    if path.mask & _INT8_MASK:
        what = "31=8 does nothing on CPUs: no kernel asks for it"
        yield _finding(path, "mask", what, "leave the layer out of the calibration table")


def _finding(path: KernelPath, kind: Kind, what: str, remedy: str) -> Finding:
    return Finding(path.layer, path.module, path.type, path.target, path.mode, kind, what, remedy)


def to_json(paths: Sequence[KernelPath]) -> dict[str, object]:
    """Paths and findings as what `json.dumps` takes.

    Returns:
        `ncnn`: the commit and date that the facts are of. `targets`: titles by name. `paths` and `findings`: one object
        each, with the attributes of `KernelPath` and `Finding`.
    """
    from dwca_export.kernel_paths.facts import NCNN_COMMIT, NCNN_DATE

    return {
        "ncnn": {"commit": NCNN_COMMIT, "date": NCNN_DATE},
        "targets": {path.target: TARGETS[path.target].title for path in paths},
        "paths": [_path(path) for path in paths],
        "findings": [vars(finding) for finding in findings(paths)],
    }


def _path(path: KernelPath) -> dict[str, object]:
    blobs = {"before": vars(path.before), "read": vars(path.read), "written": [vars(blob) for blob in path.written]}
    return {**vars(path), **blobs, "packed": path.packed, "fast": path.fast}
