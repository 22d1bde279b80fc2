"""Finds coordinate attention in an ONNX graph by its structure, whatever class it was written as."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwca_export.rewrites.graph import attribute, static_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dwca_export.artifacts import OnnxModel

_MOVES = {"Transpose", "Reshape", "Squeeze", "Unsqueeze"}
_POOLING = {"AveragePool", "ReduceMean", "GlobalAveragePool"}
_ACTIVATIONS = {"HardSwish", "Relu", "Clip", "HardSigmoid", "Sigmoid", "Mul", "Div", "Add"}
_SPLITS = {"Split", "Slice"}
_STRIPS = 2
_CHANNELS = (1, -3)
_RANK = 4  # N, C, H, W


@dataclass(frozen=True)
class Block:
    """One coordinate attention, and the convolutions that feed it if it is a DWCA block.

    Attributes:
        name: Path of the torch module, or name of the ONNX value where its strips meet.
        channels: Channels that it gates.
        reduced: Channels after the 1x1 reduction.
        reduction: channels // reduced.
        norm: `GroupNorm`, or empty where the normalisation is folded into the reduction (BatchNorm).
        groups: Of the GroupNorm, else 0.
        depthwise_kernel: Kernel size of the depthwise convolution before it, 0 without one.
        stride: Of that depthwise convolution.
        residual: Whether the block adds its input.
    """

    name: str
    channels: int
    reduced: int
    reduction: int
    norm: str
    groups: int
    depthwise_kernel: int
    stride: int
    residual: bool


def find_blocks(model: OnnxModel) -> tuple[Block, ...]:
    """All coordinate attentions.

    One is found where the means of a value along H and along W meet in a `Concat` and a 1x1 convolution, and the value
    is multiplied by what becomes of that.

    Args:
        model: A simplified graph.
    """
    graph = _Graph(model)
    return tuple(block for node in model.proto.graph.node if (block := _block(graph, node)) is not None)


class _Graph:
    """Look-ups by value."""

    def __init__(self, model: OnnxModel) -> None:
        nodes = model.proto.graph.node
        self.scopes = model.scopes
        self.shapes = static_shapes(model.proto.graph)
        self.weights = {tensor.name: list(tensor.dims) for tensor in model.proto.graph.initializer}
        self.producers = {value: node for node in nodes for value in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in nodes:
            for value in node.input:
                self.readers.setdefault(value, []).append(node)

    def above(self, value: str, through: set[str]) -> Any:
        """The node that computes a value, looking through some node types."""
        node = self.producers.get(value)
        while node is not None and node.op_type in through:
            if node.op_type == "Add" and not any(value in self.weights for value in node.input):
                return None  # no activation, but where two branches meet
            node = self.producers.get(node.input[0])
        return node

    def below(self, value: str) -> Iterator[Any]:
        """The chain of nodes from a value on, as long as there is a single reader."""
        while len(readers := self.readers.get(value, [])) == 1:
            yield readers[0]
            value = readers[0].output[0]

    def depends(self, value: str, on: str, but_for: str) -> bool:
        """Whether a value is computed from another one, without the help of a third."""
        waiting, seen = [value], {but_for, ""}
        while waiting:
            value = waiting.pop()
            if value == on:
                return True
            if value not in seen and value in self.producers:
                waiting += self.producers[value].input
            seen.add(value)
        return False


def _block(graph: _Graph, concat: Any) -> Block | None:
    if concat.op_type != "Concat" or len(concat.input) != _STRIPS or attribute(concat, "axis", 0) in _CHANNELS:
        return None
    gated = _gated(graph, *concat.input)
    if gated is None:
        return None
    chain = list(itertools.takewhile(lambda node: node.op_type not in _SPLITS, graph.below(concat.output[0])))
    if not chain or not _is_pointwise(graph, chain[0]) or not _is_gate(graph, gated, concat.output[0]):
        return None
    reduced, channels = graph.weights[chain[0].input[1]][:2]
    groups = next((groups for node in chain if (groups := _groups(graph, node))), 0)
    depthwise = _depthwise(graph, gated)
    return Block(
        name=_name(graph, concat.output[0]),
        channels=channels,
        reduced=reduced,
        reduction=channels // reduced,
        norm="GroupNorm" if groups else "",
        groups=groups,
        depthwise_kernel=graph.weights[depthwise.input[1]][2] if depthwise is not None else 0,
        stride=attribute(depthwise, "strides", [1])[0] if depthwise is not None else 1,
        residual=depthwise is not None and _is_added(graph, gated, depthwise.input[0]),
    )


def _gated(graph: _Graph, first: str, second: str) -> str | None:
    """The value of which one of two is the mean along H and the other the mean along W, or None."""
    others = {value: (along_h, along_w) for value, along_h, along_w in _strips(graph, second)}
    for value, along_h, along_w in _strips(graph, first):
        other_h, other_w = others.get(value, (False, False))
        if (along_h and other_w) or (along_w and other_h):
            return value
    return None


def _strips(graph: _Graph, value: str) -> Iterator[tuple[str, bool, bool]]:
    """The values that this one may be a strip of, and whether it is their mean along H, and along W.

    A mean of one number is that number, so a value of height 1 is its own mean along H.
    """
    while True:
        shape = graph.shapes.get(value, [])
        if len(shape) == _RANK and 1 in shape[2:]:
            yield value, shape[2] == 1, shape[3] == 1
        node = graph.producers.get(value)
        if node is None or node.op_type not in _MOVES | _POOLING:
            return
        if node.op_type in _POOLING:
            yield node.input[0], *_means(graph, node)
            return
        value = node.input[0]


def _means(graph: _Graph, pool: Any) -> tuple[bool, bool]:
    """Whether a pooling averages along the height, and along the width, and along that axis only."""
    before, after = graph.shapes.get(pool.input[0], []), graph.shapes.get(pool.output[0], [])
    if len(before) != _RANK or (before == after and set(attribute(pool, "kernel_shape", [1])) != {1}):
        return False, False
    if len(after) == _RANK:
        return after[2:] == [1, before[3]], after[2:] == [before[2], 1]
    return after == [*before[:2], before[3]], after == before[:3]


def _is_pointwise(graph: _Graph, node: Any) -> bool:
    return node.op_type == "Conv" and graph.weights.get(node.input[1], [])[2:] == [1, 1]


def _is_gate(graph: _Graph, gated: str, joined: str) -> bool:
    """Whether the value is multiplied by what is computed from its joined strips."""
    factors = (value for node in graph.readers.get(gated, []) if node.op_type == "Mul" for value in node.input)
    return any(value != gated and graph.depends(value, joined, but_for=gated) for value in factors)


def _groups(graph: _Graph, node: Any) -> int:
    """Groups of a GroupNorm, which exporters write as an InstanceNormalization of as many channels; else 0."""
    if node.op_type == "GroupNormalization":
        return int(attribute(node, "num_groups", 0))
    shape = graph.shapes.get(node.input[0], []) if node.op_type == "InstanceNormalization" else []
    return shape[1] if len(shape) > 1 else 0


def _depthwise(graph: _Graph, gated: str) -> Any:
    """The depthwise convolution of a DWCA block: gated = activation(pointwise(depthwise(x)))."""
    pointwise = graph.above(gated, _ACTIVATIONS)
    if pointwise is None or not _is_pointwise(graph, pointwise):
        return None
    depthwise = graph.producers.get(pointwise.input[0])
    if depthwise is None or depthwise.op_type != "Conv":
        return None
    weight = graph.weights.get(depthwise.input[1], [0, 0])
    return depthwise if weight[1] == 1 and attribute(depthwise, "group", 1) == weight[0] else None


def _is_added(graph: _Graph, gated: str, source: str) -> bool:
    """Whether the gated value, after its multiplications, is added to the block's input."""
    gates = [node for node in graph.readers.get(gated, []) if node.op_type == "Mul"]
    return any(node.op_type == "Add" and source in node.input for gate in gates for node in graph.below(gate.output[0]))


def _name(graph: _Graph, value: str) -> str:
    name = graph.scopes.get(value, value)
    return name.rpartition(".")[0] or name
