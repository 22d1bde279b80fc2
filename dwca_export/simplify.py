"""ONNX -> smaller ONNX with static shapes, in the form that pnnx gets right."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import shape_inference

from dwca_export.artifacts import OnnxModel, TensorSpec
from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.limits import check_inputs, check_outputs
from dwca_export.rewrites import REWRITES
from dwca_export.runners.ort import OrtRunner
from dwca_export.waiting_child import WaitingChild

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.artifacts import LoadedModel


def open_onnx(loaded: LoadedModel, shapes: Sequence[tuple[int, ...]] | None) -> OnnxModel:
    """Take a network that came as ONNX, its shapes made static.

    Args:
        loaded: What `load` returned, of the kind `onnx`.
        shapes: Shape of each input, or None for what the graph says.

    Raises:
        InputRefusedError: The graph leaves sizes open and none are given, takes or returns what is no float32
            tensor, contradicts the shapes, or does not run on them.
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
    inputs = tuple(_input(value, shape) for value, shape in zip(values, shapes, strict=True))
    check_inputs(inputs, "load")
    proto = onnx.ModelProto()
    proto.CopyFrom(loaded.model)
    # What the graph says of its other values may hold for another size.
    del proto.graph.value_info[:]
    known = {spec.name: spec for spec in inputs}
    for value in proto.graph.input:
        if value.name in known:
            value.CopyFrom(_value_info(known[value.name].name, known[value.name].shape))
    for value in proto.graph.output:
        _refuse_dtype(value.name, value.type.tensor_type.elem_type)
        value.CopyFrom(_value_info(value.name, None))
    scopes = {value: value for node in proto.graph.node for value in node.output}
    given = OnnxModel(proto, inputs, tuple(TensorSpec(value.name, ()) for value in proto.graph.output), scopes)
    outputs = _run_for_outputs(given)
    check_outputs(outputs, "load")
    for value, spec in zip(proto.graph.output, outputs, strict=True):
        value.CopyFrom(_value_info(value.name, spec.shape))  # onnxsim takes no output without a shape
    return replace(given, outputs=outputs)


def _input(value: Any, shape: tuple[int, ...]) -> TensorSpec:
    """Refuse a shape that contradicts the graph's, in which other numbers may be made for the graph's own."""
    _refuse_dtype(value.name, value.type.tensor_type.elem_type)
    declared = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in value.type.tensor_type.shape.dim]
    fits = len(declared) == len(shape) and all(a in (0, b) for a, b in zip(declared, shape, strict=True))
    if declared and not fits:
        raise InputRefusedError(
            f"input {value.name!r} has the shape {declared} in the graph (0 is open), {list(shape)} is given",
            where="load",
            hint="give the graph's own shape, or export the graph with open sizes",
        )
    return TensorSpec(value.name, tuple(shape))


def _value_info(name: str, shape: tuple[int, ...] | None) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _refuse_dtype(name: str, kind: int) -> None:
    if kind != onnx.TensorProto.FLOAT:
        dtype = onnx.TensorProto.DataType.Name(kind).lower() if kind else "no tensor"
        raise InputRefusedError(f"{name!r} is {dtype}", where="load", hint="inputs and outputs must be float32 tensors")


def _run_for_outputs(model: OnnxModel) -> tuple[TensorSpec, ...]:
    """The outputs as ONNX Runtime shapes them on noise: the graph need not tell, and may lie."""
    generator = np.random.default_rng(0)
    feeds = {spec.name: generator.standard_normal(spec.shape, np.float32) for spec in model.inputs}
    shapes = ", ".join("x".join(map(str, spec.shape)) for spec in model.inputs)
    try:
        with OrtRunner(model, "load") as runner:
            results = runner.infer(feeds)
    except ConversionError as error:
        raise InputRefusedError(
            f"the graph does not run on {shapes}: {error.what}",
            where="load",
            hint="give the shape it was made for: --shape",
        ) from error
    for name, array in results.items():
        if not np.isfinite(array).all():
            raise InputRefusedError(
                f"output {name!r} holds NaN or infinity on noise", where="load", hint="check the weights"
            )
    return tuple(TensorSpec(name, array.shape) for name, array in results.items())


def onnxsim_child() -> WaitingChild:
    """The process that `simplify` needs; started early, it imports onnxsim while the exporter is busy."""
    return WaitingChild("dwca_export.onnxsim_worker")


def simplify(model: OnnxModel, child: WaitingChild | None = None, *, timeout: float = 300.0) -> OnnxModel:
    """Fold constants and drop what does nothing (onnxsim, in a child process).

    Args:
        model: The graph.
        child: What `onnxsim_child` returned; by default one of its own.
        timeout: Seconds that onnxsim may take.

    Raises:
        ConversionError: onnxsim fails, crashes or hangs, or the graph that comes out is invalid or has open sizes.
    """
    if child is None:
        with onnxsim_child() as own:
            return simplify(model, own, timeout=timeout)
    source, target = child.folder / "given.onnx", child.folder / "simplified.onnx"
    target.unlink(missing_ok=True)
    onnx.save(model.proto, source)
    shapes = {spec.name: list(spec.shape) for spec in model.inputs}
    reply = child.ask(json.dumps({"source": str(source), "target": str(target), "shapes": shapes}), timeout)
    if reply.late:
        raise ConversionError(f"onnxsim takes more than {timeout:g} s", where="simplify", hint="raise --timeout")
    if reply.end or not target.is_file():
        raise ConversionError(
            f"onnxsim fails ({reply.end or 'no graph'})", where="simplify", hint=f"it printed: {child.said()}"
        )
    return _checked(model, onnx.load(target), "simplify")


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
    _refuse_dtype(value.name, value.type.tensor_type.elem_type)
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim)
    if not all(shape):
        raise ConversionError(
            f"{value.name!r} has an open or empty size: {shape}", where="simplify", hint="the shape depends on the data"
        )
    return TensorSpec(value.name, shape)
