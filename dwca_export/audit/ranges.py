"""How close a network's numbers come to the ends of fp16's range, to warn before a phone shows NaN.

Blobs are stored in fp16 under fp16 storage and fp16 arithmetic. Sums are formed in fp16 under fp16 arithmetic only: in
convolutions, inner products and average pooling with a fixed kernel (ncnn's `*_arm_asimdhp.cpp`); pooling of the whole
map, adaptive pooling and normalisation sum in fp32. In whatever order a kernel adds, no sum on the way is larger than
the sum of all magnitudes, which the same layer computes from the magnitudes of its weights and inputs. Kernels that
transform their inputs first (Winograd's, of dense 3x3 convolutions) form other sums, which are not looked at.
"""

from __future__ import annotations

import math
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from dwca_export.audit.recorded import load_param, load_recorded
from dwca_export.ncnn.param import Layer, Param
from dwca_export.ncnn.weights import Weight, read_weights, write_weights
from dwca_export.runners.bundle import open_bundle, read_manifest
from dwca_export.runners.ncnn import NcnnRunner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Feeds = Mapping[str, np.ndarray]

RangeFault = Literal["overflow", "weight overflow", "sum overflow", "underflow", "little headroom"]

FP16_LARGEST = 65504.0
# Data that were not seen may be some times larger than those that were: two bits are a factor of four.
LEAST_HEADROOM_BITS = 2.0
# Rounding to 11 bits errs by 2e-4 to 3e-4 of a blob's norm. Beyond 1e-3 most of the error comes from numbers below
# 2**-14, where fp16 has fewer bits, and none below 2**-25.
LARGEST_ROUNDING = 1e-3

_SUMMING = ("Convolution", "ConvolutionDepthWise", "InnerProduct")
_AVERAGE = 1
_INT8_SCALES, _ACTIVATION, _ACTIVATION_PARAMS, _PAD_VALUE = 8, 9, 10, 18
_BF16_MAGNITUDE = 0x7FFF
_REMEDIES: dict[RangeFault, str] = {
    "overflow": "keep it in fp32: 31=3 on this layer and on those that read it (--fix-precision), or use bf16 storage",
    "weight overflow": "keep the layer in fp32: 31=3 (--fix-precision), or use bf16 storage",
    "sum overflow": "let the layer sum in fp32: 31=1 (--fix-precision), or use fp16 storage without fp16 arithmetic",
    "underflow": "keep it in fp32: 31=3 on this layer and on those that read it (--fix-precision), or use bf16 storage",
    "little headroom": "check with more of the data that the network will see (--images)",
}


@dataclass(frozen=True)
class LayerRange:
    """Magnitudes in and behind one layer, over all samples.

    Attributes:
        layer: ncnn's name of the layer.
        type: Its type.
        blob: The blob that it writes.
        module: The torch module (or operation) whose value that is; empty where it is not known.
        largest: Largest magnitude in the blob.
        smallest: Smallest one that is not zero; 0 if all are.
        rounding: Relative L2 error of the blob once it is stored in fp16, in the worst sample; infinite on overflow.
        sums: No sum inside the layer is larger, in whatever order it is formed; None if it forms none in fp16.
        weight: Largest magnitude of its weights; None if it has none.
    """

    layer: str
    type: str
    blob: str
    module: str
    largest: float
    smallest: float
    rounding: float
    sums: float | None = None
    weight: float | None = None

    @property
    def headroom(self) -> float:
        """Bits between the largest number and fp16's largest; negative beyond it, infinite if all are zero."""
        return min(_headroom(value or 0.0) for value in (self.largest, self.sums, self.weight))


@dataclass(frozen=True)
class RangeFinding:
    """Something that fp16 does not bear.

    Attributes:
        fault: What.
        module: The torch module, or the blob where that is not known.
        layer: ncnn's name of the layer.
        value: The number: a magnitude, or for "underflow" the relative L2 error of storing the blob.
        headroom: Bits to fp16's largest number; negative beyond it.
        modes: Modes of ncnn that it harms.
        remedy: What to do about it.
    """

    fault: RangeFault
    module: str
    layer: str
    value: float
    headroom: float
    modes: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class RangeAudit:
    """The ranges of a network.

    Attributes:
        samples: How many samples were run.
        layers: One for each blob that a layer computes, the inputs first, in the order of execution.
        findings: What fp16 does not bear, in the same order.
    """

    samples: int
    layers: tuple[LayerRange, ...]
    findings: tuple[RangeFinding, ...]


def audit_ranges(folder: Path, more: Iterable[Feeds] = (), *, threads: int = 1) -> RangeAudit:
    """Measure the ranges of a bundle's network in fp32.

    Args:
        folder: The bundle.
        more: Samples besides the recorded ones; taken one at a time.
        threads: Threads that ncnn may use.

    Raises:
        InputRefusedError: No bundle, files that its manifest does not name, or samples of another shape.
        ConversionError: ncnn does not run the network.
    """
    manifest = read_manifest(folder)
    recorded, param = load_recorded(folder, manifest), load_param(folder)
    precision = next(iter(manifest["networks"]))
    weights = read_weights(param, (folder / manifest["networks"][precision]["bin"]).read_bytes())
    with ExitStack() as stack:
        runner = stack.enter_context(open_bundle(folder, precision=precision, threads=threads))
        magnitudes = stack.enter_context(_magnitude_runner(param, weights, threads))
        probe = _Probe(param, weights, runner, magnitudes, recorded.modules)
        for sample in recorded.samples:
            probe.add(sample)
        for sample in more:
            probe.add(sample)
    layers = probe.layers()
    return RangeAudit(probe.samples, layers, tuple(finding for one in layers for finding in findings_of(one)))


def findings_of(one: LayerRange) -> tuple[RangeFinding, ...]:
    """What fp16 does not bear in a layer; the worst of what is said of each number."""
    both, arithmetic = ("fp16-storage", "fp16-arithmetic"), ("fp16-arithmetic",)
    found: list[tuple[RangeFault, float, tuple[str, ...]]] = []
    numbers: tuple[tuple[RangeFault, float | None, tuple[str, ...]], ...] = (
        ("weight overflow", one.weight, both),
        ("overflow", one.largest, both),
        ("sum overflow", one.sums, arithmetic),
    )
    for fault, value, modes in numbers:
        # Written so that NaN overflows.
        if value is not None and not value <= FP16_LARGEST:
            found.append((fault, value, modes))
        elif value and _headroom(value) < LEAST_HEADROOM_BITS and not found:
            found.append(("little headroom", value, modes))
    if not any(fault == "overflow" for fault, *_ in found) and one.rounding > LARGEST_ROUNDING:
        found.append(("underflow", one.rounding, both))
    return tuple(
        RangeFinding(
            fault,
            one.module or one.blob,
            one.layer,
            value,
            _headroom(one.largest if fault == "underflow" else value),
            modes,
            _REMEDIES[fault],
        )
        for fault, value, modes in found
    )


def _headroom(value: float) -> float:
    if not value:
        return math.inf
    return math.log2(FP16_LARGEST / value) if math.isfinite(value) else -math.inf


class _Probe:
    """Collects the ranges sample by sample; the blobs of one sample are held at a time."""

    def __init__(
        self,
        param: Param,
        weights: Sequence[Weight],
        runner: NcnnRunner,
        magnitudes: NcnnRunner,
        modules: Mapping[str, str],
    ) -> None:
        self.samples = 0
        self._runner, self._magnitudes, self._modules = runner, magnitudes, modules
        self._layers = [layer for layer in param.layers if layer.type != "Split"]
        self._computed = param.computed
        self._inputs = {f"in{index}": spec.name for index, spec in enumerate(runner.inputs)}
        self._weight = {weight.layer: 0.0 for weight in weights}
        for weight in weights:
            self._weight[weight.layer] = max(self._weight[weight.layer], float(np.abs(_numbers(weight)).max()))
        self._found: dict[str, LayerRange] = {}

    def add(self, sample: Feeds) -> None:
        blobs = self._runner.infer_blobs(sample, self._computed)
        blobs.update({blob: sample[name][0] for blob, name in self._inputs.items()})
        sums = self._sums(blobs)
        for layer in self._layers:
            for blob in layer.tops:
                self._note(layer, blob, blobs[blob], sums.get(blob))
        self.samples += 1

    def layers(self) -> tuple[LayerRange, ...]:
        return tuple(self._found.values())

    def _note(self, layer: Layer, blob: str, array: np.ndarray, sums: float | None) -> None:
        new = LayerRange(
            layer.name,
            layer.type,
            blob,
            self._modules.get(blob, ""),
            *_extremes(array),
            rounding_error(array),
            sums,
            self._weight.get(layer.name),
        )
        old = self._found.get(blob)
        self._found[blob] = new if old is None else _merged(old, new)

    def _sums(self, blobs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """What no sum that ends in a blob exceeds on its way."""
        areas = {blob: area for layer in self._layers if (area := _area(layer)) for blob in layer.tops}
        magnitudes = {blob: np.abs(array) for blob, array in blobs.items()}
        found = self._magnitudes.infer_each(magnitudes, list(areas))
        return {blob: areas[blob] * float(array.max()) for blob, array in found}


def _area(layer: Layer) -> int | None:
    """How many times the layer's result the sum inside it is; None if it sums nothing in fp16."""
    if layer.type in _SUMMING:
        return None if layer.int(_INT8_SCALES, 0) else 1
    fixed = layer.type == "Pooling" and layer.int(0, 0) == _AVERAGE and not layer.int(4, 0) and not layer.int(7, 0)
    return layer.int(1) * layer.int(11, layer.int(1)) if fixed else None


def rounding_error(array: np.ndarray) -> float:
    """Relative L2 error of an array that is stored in fp16; infinite if a number is beyond its range."""
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.linalg.norm((array.astype(np.float16).astype(np.float32) - array).astype(np.float64))
    size = np.linalg.norm(array.astype(np.float64))
    ratio = float(error / size) if size else 0.0
    return ratio if math.isfinite(ratio) else math.inf


def _extremes(array: np.ndarray) -> tuple[float, float]:
    magnitudes = np.abs(array)
    nonzero = magnitudes[magnitudes > 0]
    return float(magnitudes.max()), float(nonzero.min()) if nonzero.size else 0.0


def _merged(old: LayerRange, new: LayerRange) -> LayerRange:
    smallest = [value for value in (old.smallest, new.smallest) if value]
    return replace(
        old,
        largest=float(np.maximum(old.largest, new.largest)),  # NaN stays
        smallest=min(smallest, default=0.0),
        rounding=max(old.rounding, new.rounding),
        sums=None if old.sums is None or new.sums is None else float(np.maximum(old.sums, new.sums)),
    )


def _magnitude_runner(param: Param, weights: Sequence[Weight], threads: int) -> NcnnRunner:
    """The network with the magnitudes of its weights and without fused activations, to be run layer by layer."""
    layers = tuple(_without_activation(layer) if layer.type in _SUMMING else layer for layer in param.layers)
    with tempfile.TemporaryDirectory(prefix="dwca-ranges-") as name:
        files = Path(name) / "magnitudes.param", Path(name) / "magnitudes.bin"
        files[0].write_text(Param(layers).text(), encoding="utf-8")
        files[1].write_bytes(write_weights([replace(weight, data=_magnitudes(weight)) for weight in weights]))
        return NcnnRunner(*files, (), (), threads=threads)


def _without_activation(layer: Layer) -> Layer:
    plain = layer.without_params([_ACTIVATION, _ACTIVATION_PARAMS])
    return plain.with_params({_PAD_VALUE: abs(plain.float(_PAD_VALUE))}) if plain.has(_PAD_VALUE) else plain


def _magnitudes(weight: Weight) -> np.ndarray:
    return weight.data & _BF16_MAGNITUDE if weight.storage == "bf16" else np.abs(weight.data)


def _numbers(weight: Weight) -> np.ndarray:
    """The weights as float32, whatever the file keeps them in."""
    if weight.storage == "bf16":
        return (weight.data.astype(np.uint32) << 16).view(np.float32)
    return weight.data.astype(np.float32)
