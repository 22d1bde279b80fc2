"""ONNX -> smaller ONNX with static shapes, in the form that pnnx gets right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import onnxsim
from onnx import shape_inference

from dwca_export.artifacts import OnnxModel, TensorSpec
from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.rewrites import REWRITES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.artifacts import LoadedModel


def open_onnx(loaded: LoadedModel, shapes: Sequence[tuple[int, ...]] | None) -> OnnxModel:
    """Take a network that came as ONNX, its shapes made static.

    Args:
        loaded: What `load` returned, of the kind `onnx`.
        shapes: Shape of each input, or None for what the graph says.

    Raises:
        InputRefusedError: The graph leaves sizes open and none are given, or takes what is no float32 tensor.
    """
    graph = loaded.model.graph
    weights = {tensor.name for tensor in graph.initializer}
    values = [value for value in graph.input if value.name not in weights]
    if shapes is None:
        raise InputRefusedError("the graph leaves input sizes open", where="load", hint="give --shape once per input")
    if len(shapes) != len(values):
        raise InputRefusedError(
            f"{len(shapes)} shapes given, the graph takes {len(values)} inputs",
            where="load",
            hint="give --shape once per input",
        )
    inputs = tuple(TensorSpec(value.name, shape) for value, shape in zip(values, shapes, strict=True))
    static = _simplify(loaded.model, inputs)
    outputs = tuple(_spec(value) for value in static.graph.output)
    return OnnxModel(static, inputs, outputs, {value: value for node in static.graph.node for value in node.output})


def simplify(model: OnnxModel) -> OnnxModel:
    """Fold constants and drop what does nothing (onnxsim).

    Raises:
        ConversionError: onnxsim fails, or the graph that comes out is invalid or has open sizes.
    """
    return _checked(model, _simplify(model.proto, model.inputs), "simplify")


def rewrite(model: OnnxModel) -> tuple[OnnxModel, tuple[str, ...]]:
    """Apply the rewrites of `dwca_export.rewrites` in order.

    Returns:
        The model and the names of the rewrites that changed it.

    Raises:
        ConversionError: A rewrite left an invalid graph.
    """
    applied = []
    for name, apply in REWRITES:
        proto = onnx.ModelProto()
        proto.CopyFrom(model.proto)
        if apply(proto):
            model = _checked(model, shape_inference.infer_shapes(proto), f"rewrite {name}")
            applied.append(name)
    return model, tuple(applied)


def _simplify(proto: Any, inputs: Sequence[TensorSpec]) -> Any:
    shapes = {spec.name: list(spec.shape) for spec in inputs}
    try:
        # onnxsim's own check draws random inputs; our parity does that better, on the user's data.
        simplified, _ = onnxsim.simplify(proto, check_n=0, overwrite_input_shapes=shapes)
    except Exception as error:  # onnxsim raises RuntimeError, ValueError and protobuf's classes
        raise ConversionError(
            f"onnxsim fails: {error}", where="simplify", hint="check the graph with onnx.checker"
        ) from error
    return simplified


def _checked(model: OnnxModel, proto: Any, where: str) -> OnnxModel:
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise ConversionError(f"the graph is invalid: {error}", where=where) from error
    outputs = {value.name: _spec(value).shape for value in proto.graph.output}
    for spec in model.outputs:
        if outputs.get(spec.name) != spec.shape:
            raise ConversionError(
                f"output {spec.name!r} has shape {outputs.get(spec.name)} instead of {spec.shape}", where=where
            )
    return OnnxModel(proto, model.inputs, model.outputs, model.scopes)


def _spec(value: Any) -> TensorSpec:
    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    if dtype != "float32":
        raise InputRefusedError(
            f"{value.name!r} is {dtype}", where="simplify", hint="inputs and outputs must be float32"
        )
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim)
    if not all(shape):
        raise ConversionError(
            f"{value.name!r} has an open or empty size: {shape}", where="simplify", hint="the shape depends on the data"
        )
    return TensorSpec(value.name, shape)
