"""Follows one sample through all hops, value by value: torch module, ONNX value, ncnn blob.

Where hops disagree, this tells the first value that is wrong; where they agree, it is the table of who computes what.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dwca_export.audit.layers import LayerCheck, check_layers
from dwca_export.audit.recorded import Recorded, in_blob_layout
from dwca_export.errors import ParityError
from dwca_export.parity.judge import fault_of
from dwca_export.parity.measure import Measurement, figures, measure
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.runners.ncnn import NcnnRunner
from dwca_export.runners.ort import OrtRunner
from dwca_export.runners.torch import run_nodes
from dwca_export.taps import choose_taps, with_taps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from dwca_export.artifacts import NcnnModel
    from dwca_export.conversion import Conversion
    from dwca_export.ncnn.graph import Tap
    from dwca_export.proof import Shipped

    Feeds = Mapping[str, np.ndarray]

_NCNN = "ncnn"


@dataclass(frozen=True)
class AlignedValue:
    """One value of the network, in every hop that has it.

    Attributes:
        module: The torch module, or the operation in it.
        value: Its name in the ONNX graphs.
        stacked_groups: See `dwca_export.ncnn.graph.Tap`.
        hops: The hops before ncnn, by "from -> to": error of the one beside the other.
        ncnn: ncnn's layer and blob, the error that they carry beside the last hop, and what the layer adds of its own.
    """

    module: str
    value: str
    stacked_groups: int
    hops: Mapping[str, Measurement]
    ncnn: LayerCheck


@dataclass(frozen=True)
class Alignment:
    """The table, and what ncnn computed.

    Attributes:
        values: In the order of execution.
        taps: The value of every tap of the ncnn network in the last ONNX graph, by module, without batch axis.
        blobs: Every blob of the ncnn network that is no value of the table: what ncnn computed for it.
        tolerance: Key of the tolerance that ncnn's layers are held to.
    """

    values: tuple[AlignedValue, ...]
    taps: Mapping[str, np.ndarray]
    blobs: Mapping[str, np.ndarray]
    tolerance: str


def require(alignment: Alignment) -> Alignment:
    """Return the alignment itself if every value is right in every hop.

    Raises:
        ParityError: Naming the first value that is not, and the hop.
    """
    for value in alignment.values:
        for hop, measurement in value.hops.items():
            if fault := fault_of(measurement, "fp32"):
                raise ParityError(_located(value, fault, hop), where=hop)
        if fault := fault_of(value.ncnn.added, alignment.tolerance):
            raise ParityError(_located(value, fault, _NCNN), where=_NCNN)
    return alignment


def _located(value: AlignedValue, fault: str, hop: str) -> str:
    if hop != _NCNN:
        return f"the first wrong value is that of {value.module!r} (ONNX value {value.value!r}): {fault}"
    layers = ", ".join((value.ncnn.layer, *value.ncnn.also))
    found = f"ncnn's {layers}, given right inputs; kind: {value.ncnn.kind}"
    return f"the first wrong value is that of {value.module!r} ({found}): {fault}"


def document(alignment: Alignment) -> dict[str, Any]:
    """The table as a JSON object. Its schema is documented in docs/pages/bundle.md."""
    return {"values": [_row(value) for value in alignment.values]}


def _row(value: AlignedValue) -> dict[str, Any]:
    statistics = value.ncnn.statistics
    return {
        "module": value.module,
        "value": value.value,
        "layer": value.ncnn.layer,
        "type": value.ncnn.type,
        "blob": value.ncnn.blob,
        "stacked_groups": value.stacked_groups,
        "hops": {hop: figures(measurement) for hop, measurement in value.hops.items()},
        "ncnn": {
            "with": list(value.ncnn.also),
            "added": {**figures(value.ncnn.added), **(asdict(statistics) if statistics else {})},
            "carried": figures(value.ncnn.carried),
        },
    }


def align(conversion: Conversion, network: NcnnModel, shipped: Shipped, sample: Feeds) -> Alignment:
    """Run one sample through every hop and compare value by value.

    Args:
        conversion: What the hops made.
        network: The ncnn network of the bundle.
        shipped: The same on disk.
        sample: One input of the conversion's size, by name, with batch axis.

    Raises:
        ConversionError: A backend does not run its model.
    """
    taps = choose_taps(conversion.onnx[-1][1])
    stages, tolerance = _stages(conversion, taps, sample), TOLERANCES[shipped.tolerance]
    tapped = {module: stages[-1][1][value][0] for value, module in taps.items()}
    with NcnnRunner(shipped.param, shipped.bin, network.inputs, network.outputs) as runner:
        whole = runner.infer_blobs(sample, network.param.computed)
        recorded = _recorded(network, tapped, stages[-1][1], sample)
        checks = {check.blob: check for check in check_layers(runner, network.param, recorded, whole, tolerance)}
    others = {blob: array for blob, array in whole.items() if blob not in recorded.blobs}
    values = {module: value for value, module in taps.items()}
    rows = []
    for tap in _computed(network):
        value = values[tap.name]
        hops = _hops(tap.name, [(name, found[value]) for name, found in stages if value in found])
        rows.append(AlignedValue(tap.name, value, tap.stacked_groups, hops, checks[tap.blob]))
    return Alignment(tuple(rows), {tap.name: tapped[tap.name] for tap in network.tapped}, others, shipped.tolerance)


def _stages(conversion: Conversion, taps: Mapping[str, str], sample: Feeds) -> list[tuple[str, Feeds]]:
    """The tapped values in every hop before ncnn, by ONNX value, with batch axis."""
    stages: list[tuple[str, Feeds]] = []
    first = conversion.onnx[0][1]
    if first.program is not None:
        arrays = [sample[spec.name] for spec in first.inputs]
        stages.append(("torch", run_nodes(first.program, arrays, taps)))
    for name, model in conversion.onnx:
        known = {value.name for value in model.proto.graph.value_info}
        here = {value: module for value, module in taps.items() if value in known}
        with OrtRunner(replace(model, proto=with_taps(model, here)), name) as runner:
            stages.append((name, runner.infer(sample)))
    return stages


def _recorded(network: NcnnModel, taps: Feeds, values: Feeds, sample: Feeds) -> Recorded:
    blobs = {f"in{index}": sample[spec.name][0] for index, spec in enumerate(network.inputs)}
    computed = _computed(network)
    for tap in computed:
        blobs[tap.blob] = in_blob_layout(taps[tap.name], tap.stacked_groups)
    blobs.update({f"out{index}": values[spec.name][0] for index, spec in enumerate(network.outputs)})
    return Recorded((sample,), (values,), blobs, {tap.blob: tap.name for tap in reversed(computed)})


def _computed(network: NcnnModel) -> list[Tap]:
    """The taps that a layer computes: the mean over an axis of one value is the input of the network itself."""
    given = {blob for layer in network.param.layers if layer.type == "Input" for blob in layer.tops}
    return [tap for tap in network.tapped if tap.blob not in given]


def _hops(module: str, found: Sequence[tuple[str, np.ndarray]]) -> dict[str, Measurement]:
    """Compare each hop with the one before it; one that has the value in another shape is left out."""
    shape = found[-1][1].shape
    alike = [(name, array) for name, array in found if array.shape == shape]
    return {f"{one} -> {other}": measure(module, [a], [b]) for (one, a), (other, b) in pairwise(alike)}
