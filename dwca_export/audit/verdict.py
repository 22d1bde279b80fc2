"""Runs a bundle's networks in every precision on what the bundle recorded, and says which layer goes wrong first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from dwca_export.audit.layers import LayerCheck, check_layers, missing_blobs
from dwca_export.audit.recorded import load_param, load_recorded
from dwca_export.errors import ParityError
from dwca_export.ncnn.masks import check_masks
from dwca_export.parity.judge import Comparison, compare
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.runners.bundle import open_bundle, read_manifest
from dwca_export.runners.ncnn import MODES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dwca_export.audit.recorded import Recorded
    from dwca_export.ncnn.param import Param
    from dwca_export.parity.tolerances import Tolerance
    from dwca_export.runners.ncnn import NcnnRunner

Status = Literal["passed", "failed", "not run"]


@dataclass(frozen=True)
class ModeResult:
    """One network of the bundle in one mode of ncnn.

    Attributes:
        precision: Which weights: a key of the manifest's `networks`.
        mode: One of `dwca_export.runners.ncnn.MODES`.
        tolerance: Key of the tolerance.
        status: "not run" where this machine computes as in another mode.
        reason: Why it was not run; empty otherwise.
        acted: How many blobs differ from those of the same network in fp32; all of them for the fp32 mode itself.
        blobs: How many there are.
        comparison: The outputs of every sample beside the original network's; None if it was not run.
        layers: What each layer adds, on the first sample; empty if it was not run.
    """

    precision: str
    mode: str
    tolerance: str
    status: Status
    reason: str = ""
    acted: int = 0
    blobs: int = 0
    comparison: Comparison | None = None
    layers: tuple[LayerCheck, ...] = ()

    @property
    def first_fault(self) -> LayerCheck | None:
        """The first layer, in the order of execution, that adds more than one layer may."""
        return next((layer for layer in self.layers if layer.kind is not None), None)


def audit(
    folder: Path,
    *,
    modes: Sequence[str] = MODES,
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
    threads: int = 1,
) -> tuple[ModeResult, ...]:
    """Judge every network of a bundle in every mode, on the recorded tensors.

    Args:
        folder: The bundle.
        modes: Which of `MODES` to run.
        tolerances: How far each mode may be from the original network.
        threads: Threads that ncnn may use.

    Returns:
        One result per precision and mode.

    Raises:
        InputRefusedError: No bundle, or one whose files are not those that its manifest names.
        ConversionError: ncnn does not run the network, or would read its blobs wrongly.
        ParityError: The network lacks blobs that were recorded.
    """
    manifest = read_manifest(folder)
    recorded, param = load_recorded(folder, manifest), load_param(folder)
    check_masks(param)
    missing = missing_blobs(param, recorded)
    if missing:
        message = f"no layer computes {', '.join(missing[:5])}, which the bundle recorded"
        raise ParityError(message, where=str(folder), hint="the param is not the one that was recorded: export again")
    results: list[ModeResult] = []
    for precision in manifest["networks"]:
        seen: dict[str, dict[str, bytes]] = {}
        for mode in modes:
            with open_bundle(folder, precision=precision, mode=mode, threads=threads) as runner:
                results.append(_judge(runner, param, recorded, _Case(precision, mode, tolerances), seen))
    return tuple(results)


@dataclass(frozen=True)
class _Case:
    precision: str
    mode: str
    tolerances: Mapping[str, Tolerance]

    @property
    def tolerance(self) -> str:
        """Name of the tolerance: weights in fp16 widen that of fp32, other modes are wider than that already."""
        return "fp16-weights" if self.mode == "fp32" and self.precision != "fp32" else self.mode


def _judge(
    runner: NcnnRunner, param: Param, recorded: Recorded, case: _Case, seen: dict[str, dict[str, bytes]]
) -> ModeResult:
    """Judge one case; `seen` holds the digests of the blobs of the modes before it, and is added to."""
    whole = runner.infer_blobs(recorded.samples[0], param.computed)
    blobs = {name: _digest(array) for name, array in whole.items()}
    same = next((mode for mode, others in seen.items() if not _differing(blobs, others)), None)
    acted = _differing(blobs, seen["fp32"]) if "fp32" in seen else len(blobs)
    seen[case.mode] = blobs
    if same is not None:
        reason = f"on this machine it computes the same numbers as {same}"
        return ModeResult(case.precision, case.mode, case.tolerance, "not run", reason, blobs=len(blobs))
    tolerance = case.tolerances[case.tolerance]
    outputs = [runner.infer(sample) for sample in recorded.samples]
    pair = ("recorded", recorded.outputs), (f"ncnn {case.mode}", outputs)
    comparison = compare(*pair, case.tolerance, case.tolerances)
    layers = check_layers(runner, param, recorded, whole, tolerance, half="fp16" in case.mode)
    failed = not comparison.passed or any(layer.kind is not None for layer in layers)
    status: Status = "failed" if failed else "passed"
    return ModeResult(case.precision, case.mode, case.tolerance, status, "", acted, len(blobs), comparison, layers)


def _digest(array: np.ndarray) -> bytes:
    """The same for equal arrays, so that the blobs of one mode are held at a time; -0 is made 0."""
    return hashlib.sha256((array + np.float32(0)).tobytes()).digest()


def _differing(blobs: Mapping[str, bytes], others: Mapping[str, bytes]) -> int:
    return sum(digest != others[name] for name, digest in blobs.items())
