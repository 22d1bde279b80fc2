"""The fewest layers that have to compute in fp32 for a network to pass in one of ncnn's reduced precisions.

Layers are ranked by the error that they add alone, each followed by those that write what it reads: their rounding is
its error as well. The shortest passing prefix of that ranking is found by bisection, then whatever is not needed is
dropped, halves first, single layers last. What is left is 1-minimal: without any one of its layers the mode fails. A
smaller set that is no part of it may exist.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.artifacts import tensor_specs
from dwca_export.audit.layers import check_layers
from dwca_export.audit.recorded import load_param, load_recorded
from dwca_export.audit.verdict import audit
from dwca_export.errors import ParityError, UsageError
from dwca_export.ncnn.masks import NO_BF16_STORAGE, NO_FP16_ARITHMETIC, NO_FP16_STORAGE, with_masks
from dwca_export.parity.judge import compare
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.runners.bundle import open_bundle, read_manifest
from dwca_export.runners.ncnn import NcnnRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np

    from dwca_export.audit.layers import LayerCheck
    from dwca_export.audit.recorded import Recorded
    from dwca_export.audit.verdict import ModeResult
    from dwca_export.ncnn.param import Param
    from dwca_export.parity.tolerances import Tolerance

    Feeds = Mapping[str, np.ndarray]

# Masks to try for a mode, the one that takes least away first: a layer without fp16 arithmetic still stores in fp16,
# one that stores in fp32 has no use for fp16 arithmetic.
MASKS: dict[str, tuple[int, ...]] = {
    "fp16-storage": (NO_FP16_STORAGE | NO_FP16_ARITHMETIC,),
    "fp16-arithmetic": (NO_FP16_ARITHMETIC, NO_FP16_STORAGE | NO_FP16_ARITHMETIC),
    "bf16-storage": (NO_BF16_STORAGE,),
}
# Modes to run before a mode: computing as in one of them shows that the machine lacks it.
_BEFORE = {
    "fp16-storage": ("fp32",),
    "fp16-arithmetic": ("fp32", "fp16-storage"),
    "bf16-storage": ("fp32",),
}
_NOT_COMPUTING = ("Input", "Split", "DeepCopy")


@dataclass(frozen=True)
class PrecisionFix:
    """Layers that get a mask so that a mode passes.

    Attributes:
        mode: The mode.
        mask: What is set in the `31=` of each layer.
        layers: ncnn's names of the layers, in the order of execution; empty if the mode passes as it is.
        modules: The torch module (or operation) of each; empty strings where it is not known.
        computing: How many layers compute something, masked or not.
        converters: How many layers are put in that convert to fp32 before a masked layer.
        trials: How many networks were run to find out.
        faults: What was wrong without the masks, one line each.
    """

    mode: str
    mask: int
    layers: tuple[str, ...]
    modules: tuple[str, ...]
    computing: int
    converters: int
    trials: int
    faults: tuple[str, ...]


def find_precision_fix(
    folder: Path,
    mode: str,
    *,
    more: Sequence[Feeds] = (),
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
    threads: int = 1,
) -> PrecisionFix:
    """Find the layers; nothing is written.

    Args:
        folder: The bundle.
        mode: The mode that is to pass, on every weight file of the bundle.
        more: Samples besides the recorded ones, on which the mode is held to ncnn's own fp32.
        tolerances: How far it may be off.
        threads: Threads that ncnn may use.

    Raises:
        UsageError: No mode of reduced precision, or one that this machine does not have.
        InputRefusedError: No bundle, or files that its manifest does not name.
        ConversionError: ncnn does not run the network.
        ParityError: The mode fails even if every layer computes in fp32.
    """
    if mode not in MASKS:
        raise UsageError(f"{mode!r} cannot be fixed", where="--fix-precision", hint=f"there are {', '.join(MASKS)}")
    results = audit(folder, modes=(*_BEFORE[mode], mode), tolerances=tolerances, threads=threads)
    _require_mode(results, mode)
    trials = _Trials(folder, mode, more, tolerances, threads)
    faults = tuple(fault for result in results if result.mode == mode for fault in _faults(result))
    if not faults and trials.passes(frozenset(), 0):
        return PrecisionFix(mode, 0, (), (), len(trials.candidates), 0, trials.count, ())
    ranking = rank(trials.param, [layer for result in results if result.mode == mode for layer in result.layers])
    everything = frozenset(ranking)
    mask = next((mask for mask in MASKS[mode] if trials.passes(everything, mask)), None)
    if mask is None:
        raise ParityError(f"{mode} fails even if every layer computes in fp32", where=str(folder), hint="export again")
    found = smallest(ranking, lambda layers: trials.passes(layers, mask))
    layers = tuple(name for name in trials.candidates if name in found)
    masked = with_masks(trials.param, layers, mask)
    modules = tuple(trials.recorded.modules.get(trials.blob_of[name], "") for name in layers)
    return PrecisionFix(
        mode,
        mask,
        layers,
        modules,
        len(trials.candidates),
        len(masked.layers) - len(trials.param.layers),
        trials.count,
        faults or ("outputs on the given data are beyond tolerance",),
    )


def rank(param: Param, checks: Iterable[LayerCheck]) -> list[str]:
    """Names of all layers that compute, those first that add most for what one may, each before its sources."""
    added: dict[str, float] = {}
    for check in checks:
        for name in (check.layer, *check.also):
            added[name] = max(added.get(name, 0.0), _severity(check))
    computing = [layer for layer in param.layers if layer.type not in _NOT_COMPUTING]
    ordered = sorted(computing, key=lambda layer: -added.get(layer.name, 0.0))  # stable: the first first
    ranking: dict[str, None] = {}
    for layer in ordered:
        ranking[layer.name] = None
        ranking.update(dict.fromkeys(_sources(param, layer.bottoms)))
    return list(ranking)


def smallest(ranking: Sequence[str], passes: Callable[[frozenset[str]], bool]) -> frozenset[str]:
    """A 1-minimal set of layers that passes.

    Args:
        ranking: Layers, those first that matter most; all together pass.
        passes: Whether a set of them passes.
    """
    low, high = 0, len(ranking)
    while high - low > 1:
        middle = (low + high) // 2
        if passes(frozenset(ranking[:middle])):
            high = middle
        else:
            low = middle
    # What matters least is dropped first.
    kept = list(reversed(ranking[:high]))
    size = max(1, len(kept) // 2)
    while True:
        before = len(kept)
        kept = _without_needless(kept, size, passes)
        if size == 1 and len(kept) == before:
            return frozenset(kept)
        size = max(1, size // 2)


def _without_needless(kept: list[str], size: int, passes: Callable[[frozenset[str]], bool]) -> list[str]:
    """Drop every run of `size` layers that can be spared, one after the other."""
    start = 0
    while start < len(kept):
        rest = kept[:start] + kept[start + size :]
        if rest and passes(frozenset(rest)):
            kept = rest
        else:
            start += size
    return kept


class _Trials:
    """Runs the network with masks and remembers which pass."""

    def __init__(
        self, folder: Path, mode: str, more: Sequence[Feeds], tolerances: Mapping[str, Tolerance], threads: int
    ) -> None:
        self.manifest: dict[str, Any] = read_manifest(folder)
        self.recorded: Recorded = load_recorded(folder, self.manifest)
        self.param: Param = load_param(folder)
        self.candidates = [layer.name for layer in self.param.layers if layer.type not in _NOT_COMPUTING]
        self.blob_of = {layer.name: layer.tops[0] for layer in self.param.layers if layer.tops}
        self.count = 0
        self._folder, self._mode, self._threads = folder, mode, threads
        self._more, self._tolerance = more, tolerances[mode]
        self._wanted: dict[str, list[dict[str, np.ndarray]]] = {}
        self._known: dict[tuple[frozenset[str], int], bool] = {}

    def passes(self, layers: frozenset[str], mask: int) -> bool:
        """Whether the mode passes with this mask on these layers, for all weight files."""
        key = (layers, mask)
        if key not in self._known:
            self.count += 1
            with tempfile.TemporaryDirectory(prefix="dwca-mask-") as name:
                param = with_masks(self.param, layers, mask) if mask else self.param
                path = Path(name) / "masked.param"
                path.write_text(param.text(), encoding="utf-8")
                self._known[key] = all(self._passes(path, param, precision) for precision in self.manifest["networks"])
        return self._known[key]

    def _passes(self, path: Path, param: Param, precision: str) -> bool:
        weights = self._folder / self.manifest["networks"][precision]["bin"]
        inputs, outputs = (tensor_specs(self.manifest[key]) for key in ("inputs", "outputs"))
        with NcnnRunner(path, weights, inputs, outputs, mode=self._mode, threads=self._threads) as runner:
            return (
                self._agrees(runner, self.recorded.samples, self.recorded.outputs)
                and (not self._more or self._agrees(runner, self._more, self._reference(precision)))
                and self._layers_agree(runner, param)
            )

    def _agrees(self, runner: NcnnRunner, samples: Sequence[Feeds], wanted: Sequence[Mapping[str, np.ndarray]]) -> bool:
        found = [runner.infer(sample) for sample in samples]
        return compare(("", wanted), ("", found), self._mode, {self._mode: self._tolerance}).passed

    def _layers_agree(self, runner: NcnnRunner, param: Param) -> bool:
        whole = runner.infer_blobs(self.recorded.samples[0], param.computed)
        return not any(check.kind for check in check_layers(runner, param, self.recorded, whole, self._tolerance))

    def _reference(self, precision: str) -> list[dict[str, np.ndarray]]:
        """What ncnn's fp32 makes of the samples that were given."""
        if precision not in self._wanted:
            with open_bundle(self._folder, precision=precision, threads=self._threads) as runner:
                self._wanted[precision] = [runner.infer(sample) for sample in self._more]
        return self._wanted[precision]


def _sources(param: Param, blobs: Iterable[str]) -> list[str]:
    """The layers that write these blobs, behind a `Split` or not."""
    found = []
    for blob in blobs:
        layer = param.producer(blob)
        while layer is not None and layer.type in ("Split", "DeepCopy"):
            layer = param.producer(layer.bottoms[0])
        if layer is not None and layer.type not in _NOT_COMPUTING:
            found.append(layer.name)
    return found


def _severity(check: LayerCheck) -> float:
    if check.added.fault:
        return math.inf
    channel = check.added.channel.relative_l2 if check.added.channel else 0.0
    return max(check.added.relative_l2, channel / 10)


def _faults(result: ModeResult) -> list[str]:
    outputs = list(result.comparison.faults) if result.comparison else []
    return outputs + [
        f"layer {layer.layer} adds {layer.added.relative_l2:.2g}" for layer in result.layers if layer.kind
    ]


def _require_mode(results: Iterable[ModeResult], mode: str) -> None:
    for result in results:
        if result.mode == "fp32" and result.status == "failed":
            raise ParityError("fp32 itself fails, which no mask can help", where=f"{result.precision} weights, fp32")
        if result.mode == mode and result.status == "not run":
            raise UsageError(
                f"this machine does not have {mode}: {result.reason}",
                where="--fix-precision",
                hint="run it on a machine of the kind that the network is for",
            )
