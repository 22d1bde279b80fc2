"""Which values of an ONNX graph are tapped: made outputs too, so that they can be found again in ncnn.

pnnx forgets names, but writes the outputs as blobs `out0`, `out1`, ... in order. A tap must not change what pnnx makes
of the graph, so only values that end a pattern are taken, never one that pnnx would fuse into its successor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx

if TYPE_CHECKING:
    from dwca_export.artifacts import OnnxModel

_PRODUCERS = {
    "Conv",
    "ConvTranspose",
    "Gemm",
    "HardSwish",
    "Relu",
    "Sigmoid",
    "AveragePool",
    "MaxPool",
    "Add",
    "Mul",
}
_FUSED_INTO_PRODUCER = {
    "BatchNormalization",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Clip",
    "HardSwish",
    "HardSigmoid",
    "Sigmoid",
    "Tanh",
    "Elu",
    "Selu",
    "Softplus",
    "Mish",
    "Gelu",
    "Erf",
}
_ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Pow"}


def choose_taps(model: OnnxModel) -> dict[str, str]:
    """The values to tap.

    Args:
        model: The simplified and rewritten graph.

    Returns:
        ONNX value -> name of the torch module (or of the operation in it), in the graph's order.
    """
    graph = model.proto.graph
    constants = {tensor.name for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    nameable = {value.name for value in graph.value_info} & model.scopes.keys() - outputs
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for value in node.input:
            readers.setdefault(value, []).append(node)
    return {
        node.output[0]: model.scopes[node.output[0]]
        for node in graph.node
        if node.output[0] in nameable and _ends_pattern(node, readers.get(node.output[0], []), constants)
    }


def with_taps(model: OnnxModel, taps: dict[str, str]) -> Any:
    """A copy of the graph (`onnx.ModelProto`) whose outputs are the model's and then the taps.

    Args:
        model: The simplified and rewritten graph.
        taps: What `choose_taps` returned.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    known = {value.name: value for value in proto.graph.value_info}
    proto.graph.output.extend(known[value] for value in taps)
    return proto


def _ends_pattern(node: Any, readers: list[Any], constants: set[str]) -> bool:
    if node.op_type not in _PRODUCERS or (node.op_type in _ARITHMETIC and constants & set(node.input)):
        return False
    fused = any(reader.op_type in _FUSED_INTO_PRODUCER for reader in readers)
    scaled = any(reader.op_type in _ARITHMETIC and constants & set(reader.input) for reader in readers)
    # x * sigmoid(x) and its like: the gate of a value with itself is part of an activation.
    own = node.op_type == "Sigmoid" and any(set(reader.input) & set(node.input) for reader in readers)
    # pnnx gathers arithmetic in expressions, which it writes where they end.
    inside = node.op_type in _ARITHMETIC and len(readers) == 1 and readers[0].op_type in _ARITHMETIC
    return not (fused or scaled or own or inside)
