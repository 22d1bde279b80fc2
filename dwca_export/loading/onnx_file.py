"""ONNX models: data only, nothing in them runs while they are read. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from dwca_export.errors import InputRefusedError
from dwca_export.loading.source import Source
from dwca_export.loading.text import one_line, printable
from dwca_export.shapes import shape_fault

if TYPE_CHECKING:
    from dwca_export.loading.source import Request, Shapes

# Their weights multiply; elsewhere a constant may well be infinite (masks, bounds).
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "InstanceNormalization", "LSTM", "GRU"}
_HALF = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
_FLOAT = (*_HALF, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)


def read_onnx(request: Request) -> Source:
    """Read and check an ONNX model, its external data included.

    Args:
        request: The file.

    Returns:
        An `onnx.ModelProto`, with the input shapes where they are static up to the batch, which then is 1.

    Raises:
        InputRefusedError: The model or its external data is damaged or missing, or weights are not finite.
    """
    try:
        model = onnx.load(str(request.path))
        onnx.checker.check_model(str(request.path))
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError, RuntimeError) as error:
        raise InputRefusedError(
            f"this is no sound ONNX model ({one_line(error)})",
            hint="it is truncated, damaged, or its external data file is not beside it: copy or export it again",
        ) from error
    _check_weights(model)
    shapes = _shapes(model)
    return Source(model, "onnx", shapes, "onnx" if shapes else "", _notes(model))


def _check_weights(model: onnx.ModelProto) -> None:
    weighted = {name for node in model.graph.node if node.op_type in _WEIGHTED for name in node.input}
    for tensor in model.graph.initializer:
        if tensor.data_type not in _FLOAT:
            continue
        values = numpy_helper.to_array(tensor).astype(np.float64)
        bad = ~np.isfinite(values) if tensor.name in weighted else np.isnan(values)
        if bad.any():
            raise InputRefusedError(
                f"{printable(tensor.name)} is not finite in {int(bad.sum())} of {values.size} values",
                hint="the training has diverged, or the file is damaged: use an earlier checkpoint",
            )


def _shapes(model: onnx.ModelProto) -> Shapes | None:
    # Before IR version 4, initialisers are listed among the inputs.
    initialised = {tensor.name for tensor in model.graph.initializer}
    shapes = [_shape(value) for value in model.graph.input if value.name not in initialised]
    static = [shape for shape in shapes if shape is not None]
    return tuple(static) if static and len(static) == len(shapes) else None


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    dims = value.type.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in dims]
    if sizes and not dims[0].HasField("dim_value"):
        sizes[0] = 1
    return None if shape_fault(sizes) else tuple(sizes)


def _notes(model: onnx.ModelProto) -> tuple[str, ...]:
    half = sum(tensor.data_type in _HALF for tensor in model.graph.initializer)
    return (f"{half} of its weights are in half precision, and stay as they are",) if half else ()
