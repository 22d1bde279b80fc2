"""ONNX -> smaller ONNX with static shapes, in the form that pnnx gets right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxsim
from onnx import shape_inference

from dwca_export.artifacts import OnnxModel, TensorSpec
from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.rewrites import REWRITES
from dwca_export.runners.ort import OrtRunner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.artifacts import LoadedModel


def open_onnx(loaded: LoadedModel, shapes: Sequence[tuple[int, ...]] | None) -> OnnxModel:
    """Take a network that came as ONNX, its shapes made static.

    Args:
        loaded: What `load` returned, of the kind `onnx`.
        shapes: Shape of each input, or None for what the graph says.

    Raises:
        InputRefusedError: The graph leaves sizes open and none are given, or it does not run on the shapes.
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
    inputs = tuple(TensorSpec(value.name, tuple(shape)) for value, shape in zip(values, shapes, strict=True))
    proto = onnx.ModelProto()
    proto.CopyFrom(loaded.model)
    for value in proto.graph.input:
        shape = next((spec.shape for spec in inputs if spec.name == value.name), None)
        if shape is not None:
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape))
    scopes = {value: value for node in proto.graph.node for value in node.output}
    given = OnnxModel(proto, inputs, tuple(TensorSpec(value.name, ()) for value in proto.graph.output), scopes)
    return replace(given, outputs=_run_for_outputs(given))


def _run_for_outputs(model: OnnxModel) -> tuple[TensorSpec, ...]:
    """The outputs as ONNX Runtime shapes them on noise: the graph need not tell, and may lie."""
    generator = np.random.default_rng(0)
    feeds = {spec.name: generator.standard_normal(spec.shape, np.float32) for spec in model.inputs}
    shapes = ", ".join("x".join(map(str, spec.shape)) for spec in model.inputs)
    try:
        with OrtRunner(model, "load") as runner:
            results = runner.infer(feeds)
    except ConversionError:
        raise
    except Exception as error:  # ONNX Runtime raises its own unrelated classes
        raise InputRefusedError(
            f"the graph does not run on {shapes}: {str(error).splitlines()[0]}",
            where="load",
            hint="give the shape it was made for: --shape",
        ) from error
    return tuple(TensorSpec(name, array.shape, array.dtype.name) for name, array in results.items())


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
