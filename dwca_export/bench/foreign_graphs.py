"""Networks of copies of a depthwise layer side by side, for other frameworks than ncnn: as ONNX, and as MNN's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import InputRefusedError

if TYPE_CHECKING:
    from dwca_export.bench.subject import Subject


def side_by_side(subject: Subject | None, shape: tuple[int, ...], copies: int, *, whole: bool = False) -> bytes:
    """A serialised ONNX network of copies of the layer, or of the branches alone, that all read one input.

    Args:
        subject: The layer, None for the branches alone.
        shape: Of the input.
        copies: Branches.
        whole: Whether to return the whole of the only copy, not the first pixel of each.
    """
    from onnx import TensorProto, helper

    branches = [_branch(subject, shape, copy, whole=whole) for copy in range(copies)]
    nodes = [node for branch, _ in branches for node in branch]
    last = [branch[-1].output[0] for branch, _ in branches]
    nodes.append(helper.make_node("Concat", last, ["out0"], axis=1))
    values = [tensor for _, tensors in branches for tensor in tensors]
    given, returned = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
        for name, size in (("in0", (1, *shape)), ("out0", None))
    )
    graph = helper.make_graph(nodes, "copies", [given], [returned], initializer=values)
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())


def _branch(subject: Subject | None, shape: tuple[int, ...], copy: int, *, whole: bool) -> tuple[list[Any], list[Any]]:
    """Nodes and weights of one branch.

    A MaxPool of one pixel with a stride beyond the image takes the first pixel in whatever layout the branch is. The
    strides differ, because branches that were equal would be merged into one.
    """
    from onnx import helper

    nodes, values, last = _layer(subject, copy) if subject else ([], [], "in0")
    if not whole:
        size = (subject.layer.out_height, subject.layer.out_width) if subject else shape[1:]
        strides = [side + copy for side in size]
        nodes.append(helper.make_node("MaxPool", [last], [f"pixel_{copy}"], kernel_shape=[1, 1], strides=strides))
    return nodes, values


def _layer(subject: Subject, copy: int) -> tuple[list[Any], list[Any], str]:
    from onnx import helper, numpy_helper

    layer = subject.layer
    weight = _different(subject.weight[:, None], copy)
    tensors = {f"weight_{copy}": weight} | ({} if subject.bias is None else {f"bias_{copy}": subject.bias})
    top, bottom, left, right = layer.padding
    attributes: dict[str, Any] = {"group": layer.channels, "kernel_shape": [layer.kernel] * 2}
    attributes |= {"strides": [layer.stride] * 2, "pads": [top, left, bottom, right], "dilations": [layer.dilation] * 2}
    last = f"layer_{copy}"
    nodes = [helper.make_node("Conv", ["in0", *tensors], [last], **attributes)]
    values = [numpy_helper.from_array(np.ascontiguousarray(tensor), name) for name, tensor in tensors.items()]
    if layer.activation != "none":
        nodes.append(_activation(layer.activation, last, f"active_{copy}", values, copy))
        last = f"active_{copy}"
    return nodes, values, last


def _activation(activation: str, bottom: str, top: str, values: list[Any], copy: int) -> Any:
    from onnx import helper, numpy_helper

    if activation == "relu6":
        limits = [f"zero_{copy}", f"six_{copy}"]
        values += [
            numpy_helper.from_array(np.float32(limit).reshape(()), name)
            for limit, name in zip((0, 6), limits, strict=True)
        ]
        return helper.make_node("Clip", [bottom, *limits], [top])
    kinds = {"relu": "Relu", "hardswish": "HardSwish"}
    if activation not in kinds:
        raise InputRefusedError(f"no activation {activation!r} in ONNX", where="benchmark")
    return helper.make_node(kinds[activation], [bottom], [top])


def save_for_mnn(path: str, subject: Subject | None, shape: tuple[int, ...], copies: int, *, whole: bool) -> None:
    """Write the same network as MNN's.

    Args:
        path: The file.
        subject: As `side_by_side`; so are all that follow.
        shape: Of the input.
        copies: Branches.
        whole: Whether to return the whole of the only copy.

    Raises:
        InputRefusedError: The padding differs between opposite sides.
    """
    from MNN import expr  # type: ignore[import-not-found,unused-ignore]

    given = expr.placeholder([1, *shape], expr.NCHW)
    given.name = "in0"
    packed = expr.convert(given, expr.NC4HW4)
    branches = [_mnn_layer(subject, packed, copy) if subject else packed for copy in range(copies)]
    if not whole:
        size = (subject.layer.out_height, subject.layer.out_width) if subject else shape[1:]
        branches = [
            expr.max_pool(branch, (1, 1), tuple(side + copy for side in size), expr.Padding_Mode.VALID, (0, 0))
            for copy, branch in enumerate(branches)
        ]
    returned = expr.convert(expr.concat(branches, 1) if copies > 1 else branches[0], expr.NCHW)
    returned.name = "out0"
    expr.save([returned], path)


def _mnn_layer(subject: Subject, packed: Any, copy: int) -> Any:
    from MNN import expr

    layer = subject.layer
    top, bottom, left, right = layer.padding
    if (top, left) != (bottom, right) or top != left:
        raise InputRefusedError("not available: the padding is not the same on all sides", where="MNN")
    weight = _different(subject.weight, copy)
    bias = np.zeros(layer.channels, np.float32) if subject.bias is None else subject.bias
    output = expr.conv2d(
        packed,
        expr.const(weight.ravel().tolist(), [layer.channels, 1, layer.kernel, layer.kernel]),
        expr.const(bias.tolist(), [layer.channels]),
        (layer.stride,) * 2,
        (top, top),
        (layer.dilation,) * 2,
        layer.channels,
        expr.Padding_Mode.CAFFE,
    )
    if layer.activation == "hardswish":
        return output * expr.relu6(output + 3.0) * (1 / 6)
    activations = {"none": lambda x: x, "relu": expr.relu, "relu6": expr.relu6}
    return activations[layer.activation](output)


def _different(weight: np.ndarray, copy: int) -> np.ndarray:
    """Weights that differ a little: copies that were equal to the last bit would be merged into one."""
    return np.asarray(weight * np.float32(1 + copy * 2.0**-20))
