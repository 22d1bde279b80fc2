"""Runs every layer of a network alone, on what it should be given, and measures what the layer itself adds.

A layer that passes on a wrong input adds nothing; the layer at fault adds its whole error, wherever it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.errors import ConversionError
from dwca_export.parity.diagnose import diagnose
from dwca_export.parity.measure import Measurement, measure
from dwca_export.parity.statistics import ChannelStatistics, channel_statistics

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import numpy as np

    from dwca_export.audit.recorded import Recorded
    from dwca_export.ncnn.param import Layer, Param
    from dwca_export.parity.diagnose import Kind
    from dwca_export.parity.tolerances import Tolerance
    from dwca_export.runners.ncnn import NcnnRunner


@dataclass(frozen=True)
class LayerCheck:
    """One blob of the network.

    Attributes:
        layer: ncnn's name of the layer that computes it.
        type: Type of that layer.
        blob: Name of the blob.
        module: The torch module (or operation) whose value it holds; empty where that is not known.
        also: Layers that ran with it, because what lies between them was not recorded.
        added: Error of the layer alone, given the recorded inputs.
        carried: Error of the blob in a run of the whole network.
        statistics: Of the channels, when it runs alone; None if it cannot be compared.
        kind: What kind of fault the added error looks like; None if it is within what one layer may add.
    """

    layer: str
    type: str
    blob: str
    module: str
    also: tuple[str, ...]
    added: Measurement
    carried: Measurement
    statistics: ChannelStatistics | None
    kind: Kind | None


def check_layers(
    runner: NcnnRunner,
    param: Param,
    recorded: Recorded,
    whole: Mapping[str, np.ndarray],
    tolerance: Tolerance,
    *,
    half: bool = False,
) -> tuple[LayerCheck, ...]:
    """Measure what each layer adds, and what it carries.

    Args:
        runner: The network, in the mode to be judged.
        param: Its graph.
        recorded: What its blobs should hold.
        whole: What all blobs of `param.computed` hold in a run of the whole network on the first recorded sample.
        tolerance: How much one layer may add.
        half: Whether numbers are in fp16 somewhere.

    Returns:
        One check per recorded blob that a layer computes, in the order of execution.

    Raises:
        ConversionError: ncnn does not run a layer.
    """
    producers = {blob: layer for layer in param.layers for blob in layer.tops}
    checks = []
    for blob, alone in _each_alone(runner, recorded, [blob for blob in param.computed if blob in recorded.blobs]):
        layer, reference = producers[blob], recorded.blobs[blob]
        module = recorded.modules.get(blob, "")
        added, carried = (measure(module or blob, [reference[None]], [one[None]]) for one in (alone, whole[blob]))
        kind = None if within(added, tolerance) else diagnose(reference, alone, half=half)
        also = tuple(name for name in _needed(blob, producers, recorded.blobs) if name != layer.name)
        statistics = channel_statistics(reference, alone)
        checks.append(LayerCheck(layer.name, layer.type, blob, module, also, added, carried, statistics, kind))
    return tuple(checks)


def within(added: Measurement, tolerance: Tolerance) -> bool:
    """Whether one layer may add this much; NaN may not."""
    channel = added.channel.relative_l2 if added.channel else 0.0
    return not added.fault and added.relative_l2 <= tolerance.layer_l2 and channel <= tolerance.layer_channel_l2


def missing_blobs(param: Param, recorded: Recorded) -> tuple[str, ...]:
    """Recorded blobs that no layer computes: the network is not the one that was recorded."""
    return tuple(blob for blob in recorded.blobs if param.producer(blob) is None)


def _each_alone(runner: NcnnRunner, recorded: Recorded, blobs: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    try:
        yield from runner.infer_each(recorded.blobs, blobs)
    except ConversionError as error:
        error.hint = error.hint or "the layer does not run on the shapes that were recorded for it"
        raise


def _needed(blob: str, producers: Mapping[str, Layer], recorded: Collection[str]) -> list[str]:
    """Layers that have to run for a blob, back to what is recorded."""
    layers: dict[str, None] = {}
    waiting = [blob]
    while waiting:
        layer = producers[waiting.pop()]
        if layer.type != "Split":
            layers[layer.name] = None
        waiting += [bottom for bottom in layer.bottoms if bottom not in recorded and bottom in producers]
    return list(layers)
