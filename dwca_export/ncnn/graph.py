"""The form of an ncnn network that the passes work on: no `Split` layers, weights kept with their layers.

ncnn wants every blob read once, with explicit `Split` layers; patterns are easier to see without them. `from_model`
takes them out, `to_model` puts them back and gives every tapped blob the name of its torch module.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, count
from typing import TYPE_CHECKING

from dwca_export.ncnn.param import Layer, Param

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dwca_export.artifacts import NcnnModel
    from dwca_export.ncnn.weights import Weight

# ncnn reads 255 bytes of a name; what is added to tell names apart has to fit behind.
_MAX_GIVEN_BYTES = 200


@dataclass(frozen=True)
class Tap:
    """A blob that can be compared with a value of the ONNX graph.

    Attributes:
        name: The torch module (or operation) that computes it.
        blob: Its blob.
        stacked_groups: 0 if the blob has the value's own layout. After the `stack_strips` pass: number of channel
            groups, each of which holds the channels of the H strip and then those of the W strip.
    """

    name: str
    blob: str
    stacked_groups: int = 0


@dataclass(frozen=True)
class Graph:
    """An ncnn network without `Split` layers.

    Attributes:
        layers: In the order of execution.
        weights: By layer name.
        outputs: The blob of each output, in order; it may be read by layers too.
        taps: In the order of the ONNX graph.
    """

    layers: tuple[Layer, ...]
    weights: Mapping[str, tuple[Weight, ...]] = field(hash=False)
    outputs: tuple[str, ...] = ()
    taps: tuple[Tap, ...] = ()

    def layer(self, name: str) -> Layer | None:
        """The layer of that name, None once a pass has removed it."""
        return self._layers.get(name)

    def producer(self, blob: str) -> Layer:
        """The layer that writes `blob`."""
        return self._producers[blob]

    def readers(self, blob: str) -> tuple[Layer, ...]:
        """The layers that read `blob`."""
        return self._readers.get(blob, ())

    def only_reader(self, blob: str) -> Layer | None:
        """The layer that reads `blob`, if one alone does and it is no output."""
        readers = self.readers(blob)
        return readers[0] if len(readers) == 1 and blob not in self.outputs else None

    def weight(self, layer: Layer, name: str) -> Weight:
        """The tensor of that name that `layer` reads."""
        return next(weight for weight in self.weights[layer.name] if weight.name == name)

    def edited(
        self,
        *,
        changed: Iterable[Layer] = (),
        removed: Iterable[Layer] = (),
        weights: Mapping[str, Sequence[Weight]] | None = None,
    ) -> Graph:
        """A graph with some layers exchanged for others of the same name, some removed, some weights exchanged.

        Taps of blobs that nobody writes any more are dropped.
        """
        new = {layer.name: layer for layer in changed}
        gone = {layer.name for layer in removed}
        layers = tuple(new.get(layer.name, layer) for layer in self.layers if layer.name not in gone)
        kept = {name: tensors for name, tensors in self.weights.items() if name not in gone}
        kept.update({name: tuple(tensors) for name, tensors in (weights or {}).items()})
        written = {blob for layer in layers for blob in layer.tops}
        taps = tuple(tap for tap in self.taps if tap.blob in written)
        return replace(self, layers=layers, weights=kept, taps=taps)

    def renamed(self, names: Mapping[str, str]) -> Graph:
        """The graph with blobs renamed."""

        def new(blobs: Iterable[str]) -> tuple[str, ...]:
            return tuple(names.get(blob, blob) for blob in blobs)

        layers = tuple(replace(layer, bottoms=new(layer.bottoms), tops=new(layer.tops)) for layer in self.layers)
        taps = tuple(replace(tap, blob=names.get(tap.blob, tap.blob)) for tap in self.taps)
        return replace(self, layers=layers, outputs=new(self.outputs), taps=taps)

    def in_order(self) -> Graph:
        """The graph with its layers in an order in which every blob is written before it is read, changed the least.

        Raises:
            ConversionError: There is no such order.
        """
        written: set[str] = set()
        waiting, ordered = list(self.layers), []
        while waiting:
            ready = next((layer for layer in waiting if written.issuperset(layer.bottoms)), None)
            if ready is None:
                waiting[0].refuse("reads a blob that no layer writes before it")
            waiting.remove(ready)
            ordered.append(ready)
            written.update(ordered[-1].tops)
        return replace(self, layers=tuple(ordered))

    @cached_property
    def _layers(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def _producers(self) -> dict[str, Layer]:
        return {blob: layer for layer in self.layers for blob in layer.tops}

    @cached_property
    def _readers(self) -> dict[str, tuple[Layer, ...]]:
        readers: dict[str, tuple[Layer, ...]] = {}
        for layer in self.layers:
            for blob in dict.fromkeys(layer.bottoms):
                readers[blob] = (*readers.get(blob, ()), layer)
        return readers


def from_model(model: NcnnModel) -> Graph:
    """Take out the `Split` layers and note which blobs are outputs and taps."""
    source: dict[str, str] = {}
    layers = []
    for layer in model.param.layers:
        bottoms = tuple(source.get(blob, blob) for blob in layer.bottoms)
        if layer.type == "Split":
            source.update(dict.fromkeys(layer.tops, bottoms[0]))
        else:
            layers.append(replace(layer, bottoms=bottoms))
    blobs = [f"out{index}" for index in range(len(model.outputs) + len(model.taps))]
    blobs = [source.get(blob, blob) for blob in blobs]
    count = len(model.outputs)
    weights: dict[str, tuple[Weight, ...]] = {}
    for weight in model.weights:
        weights[weight.layer] = (*weights.get(weight.layer, ()), weight)
    taps = tuple(Tap(name, blob) for name, blob in zip(model.taps, blobs[count:], strict=True))
    return Graph(tuple(layers), weights, tuple(blobs[:count]), taps)


def to_model(graph: Graph, model: NcnnModel) -> NcnnModel:
    """Bring a graph into ncnn's form.

    Blobs and layers are named after the taps; inputs stay `in0`, ..., outputs `out0`, ...

    Args:
        graph: What the passes made of the model.
        model: The model that the graph came from: its inputs and outputs stay.
    """
    graph = _name_layers(_name_blobs(graph.in_order()))
    split = _insert_splits(graph)
    weights = tuple(weight for layer in split.layers for weight in graph.weights.get(layer.name, ()))
    param = Param(split.layers)
    param.check()
    return replace(model, param=param, weights=weights, taps=(), tapped=graph.taps)


def _name_blobs(graph: Graph) -> Graph:
    """Name outputs as callers know them, tapped blobs after their modules, and number the others."""
    names = {blob: blob for layer in graph.layers if layer.type == "Input" for blob in layer.tops}
    # An output that layers read too keeps its own name: its Split writes out<i>.
    times = Counter(graph.outputs)
    names.update(
        {
            blob: f"out{index}"
            for index, blob in enumerate(graph.outputs)
            if times[blob] == 1 and not graph.readers(blob) and blob not in names
        }
    )
    taken = {*names.values(), *(f"out{index}" for index in range(len(graph.outputs)))}
    # A blob that several modules return (an Identity, a removed Dropout) takes the first one's name.
    for tap in graph.taps:
        if tap.blob not in names:
            names[tap.blob] = _unused(tap.name, taken)
    for index, blob in enumerate(blob for layer in graph.layers for blob in layer.tops):
        if blob not in names:
            names[blob] = _unused(str(index), taken)
    return graph.renamed(names)


def _name_layers(graph: Graph) -> Graph:
    """Name each layer that computes a tapped blob after it, all others after type and number."""
    tapped = {tap.blob: tap.name for tap in reversed(graph.taps)}
    taken: set[str] = set()
    names = {
        layer.name: _unused(layer.tops[0] if layer.type == "Input" else tapped[layer.tops[0]], taken)
        for layer in graph.layers
        if layer.type == "Input" or layer.tops[0] in tapped
    }
    for index, layer in enumerate(graph.layers):
        if layer.name not in names:
            names[layer.name] = _unused(f"{layer.type.lower()}_{index}", taken)
    layers = tuple(replace(layer, name=names[layer.name]) for layer in graph.layers)
    weights = {
        names[name]: tuple(replace(weight, layer=names[name]) for weight in tensors)
        for name, tensors in graph.weights.items()
    }
    return replace(graph, layers=layers, weights=weights)


def _unused(name: str, taken: set[str]) -> str:
    """The name in a form that ncnn can read, with a number behind it if it is taken; taken from now on.

    Modules may be called as outputs or numbers are (`out0`, the `1` of a Sequential), foreign values anything.
    """
    legal = "_".join(name.split()).encode()[:_MAX_GIVEN_BYTES].decode(errors="ignore") or "blob"
    free = next(one for one in chain([legal], (f"{legal}#{again}" for again in count(2))) if one not in taken)
    taken.add(free)
    return free


def _insert_splits(graph: Graph) -> Graph:
    """Put a `Split` behind every blob that is read more than once, counting outputs as readers."""
    blobs = tuple(blob for layer in graph.layers for blob in layer.tops)
    taken_blobs, taken_layers = set(blobs), {layer.name for layer in graph.layers}
    aliases: dict[str, list[str]] = {}
    splits: dict[str, Layer] = {}
    for blob in blobs:
        outputs = [f"out{index}" for index, output in enumerate(graph.outputs) if output == blob]
        reads = sum(layer.bottoms.count(blob) for layer in graph.readers(blob))
        if outputs == [blob] or (not outputs and reads <= 1):
            continue
        aliases[blob] = [_unused(f"{blob}_splitncnn_{index}", taken_blobs) for index in range(reads)]
        name = _unused(f"splitncnn_{len(splits)}", taken_layers)
        splits[blob] = Layer("Split", name, (blob,), (*outputs, *aliases[blob]))
    layers: list[Layer] = []
    for layer in graph.layers:
        bottoms = tuple(aliases[blob].pop(0) if blob in aliases else blob for blob in layer.bottoms)
        layers += [replace(layer, bottoms=bottoms), *(splits[blob] for blob in layer.tops if blob in splits)]
    return replace(graph, layers=tuple(layers))
