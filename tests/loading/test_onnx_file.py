from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dwca_export.errors import InputRefusedError
from dwca_export.loading.onnx_file import read_onnx
from dwca_export.loading.source import Request, Source

if TYPE_CHECKING:
    from pathlib import Path


def model(shape: list[Any] | None = None, weight: np.ndarray | None = None, **options: Any) -> onnx.ModelProto:
    """A 1x1 convolution of three channels, and a constant added to it."""
    weight = np.ones((2, 3, 1, 1), np.float32) if weight is None else weight
    kind = helper.np_dtype_to_tensor_dtype(weight.dtype)
    shape = [1, 3, 8, 8] if shape is None else shape
    initialisers = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(options.get("mask", weight[:1]), "m")]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Add", ["c", "m"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", kind, shape), *options.get("inputs", [])],
        [helper.make_tensor_value_info("y", kind, [None] * 4)],
        initialisers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def read(file: Path) -> Source:
    return read_onnx(Request(file))


def saved(folder: Path, *arguments: Any, **options: Any) -> Path:
    file = folder / "netz ü.onnx"
    onnx.save(model(*arguments, **options), str(file))
    return file


def test_a_model_loads_with_its_shape(tmp_path: Path) -> None:
    source = read(saved(tmp_path, mask=np.zeros((1, 2, 1, 1), np.float32)))
    assert isinstance(source.model, onnx.ModelProto)
    assert source.shapes == ((1, 3, 8, 8),)
    assert source.shapes_from == "onnx"
    assert source.notes == ()


@pytest.mark.parametrize(
    ("shape", "read_as"),
    [(["N", 3, 8, 8], ((1, 3, 8, 8),)), ([None, 3, 8, 8], ((1, 3, 8, 8),)), ([4, 3, 8, 8], ((4, 3, 8, 8),))],
)
def test_a_symbolic_batch_becomes_one(tmp_path: Path, shape: list[Any], read_as: Any) -> None:
    assert read(saved(tmp_path, shape, mask=np.zeros((1, 2, 1, 1), np.float32))).shapes == read_as


@pytest.mark.parametrize("shape", [[1, 3, "H", "W"], ["N", 3, 8, None], [1, 3, 8, 0]])
def test_other_symbolic_dimensions_leave_the_shape_open(tmp_path: Path, shape: list[Any]) -> None:
    source = read(saved(tmp_path, shape, mask=np.zeros((1, 2, 1, 1), np.float32)))
    assert source.shapes is None
    assert source.shapes_from == ""


def test_initialisers_among_the_inputs_are_no_inputs(tmp_path: Path) -> None:
    weight = helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 3, 1, 1])
    source = read(saved(tmp_path, mask=np.zeros((1, 2, 1, 1), np.float32), inputs=[weight]))
    assert source.shapes == ((1, 3, 8, 8),)


def test_external_data_is_found_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    weight = np.arange(3000, dtype=np.float32).reshape(1000, 3, 1, 1)
    onnx.save(model(weight=weight, mask=weight[:1, :1]), str(file), save_as_external_data=True, location="net.data")
    loaded = {tensor.name: numpy_helper.to_array(tensor) for tensor in read(file).model.graph.initializer}
    assert np.array_equal(loaded["w"], weight)
    (tmp_path / "net.data").unlink()
    with pytest.raises(InputRefusedError, match="no sound ONNX") as caught:
        read(file)
    assert "beside" in caught.value.hint


def test_external_data_outside_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    weight = np.arange(3000, dtype=np.float32).reshape(1000, 3, 1, 1)
    file = folder / "net.onnx"
    onnx.save(model(weight=weight, mask=weight[:1, :1]), str(file), save_as_external_data=True, location="net.data")
    (folder / "net.data").rename(tmp_path / "net.data")
    escaping = onnx.load(str(file), load_external_data=False)
    for tensor in escaping.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../net.data" if entry.key == "location" else entry.value
    file.write_bytes(escaping.SerializeToString())
    with pytest.raises(InputRefusedError):
        read(file)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, mask=np.zeros((1, 2, 1, 1), np.float32))
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(InputRefusedError, match="no sound ONNX"):
            read(file)


def test_a_model_that_breaks_the_rules_of_onnx_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    broken = model(mask=np.zeros((1, 2, 1, 1), np.float32))
    broken.graph.node[1].input[0] = "nowhere"
    file.write_bytes(broken.SerializeToString())
    with pytest.raises(InputRefusedError, match="no sound ONNX"):
        read(file)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, dtype: Any, value: float) -> None:
    weight = np.ones((2, 3, 1, 1), dtype)
    weight[0, 0] = value
    with pytest.raises(InputRefusedError, match="w is not finite in 1 of 6 values"):
        read(saved(tmp_path, weight=weight, mask=np.zeros((1, 2, 1, 1), dtype)))


def test_an_infinite_mask_is_left_alone_but_nan_is_not(tmp_path: Path) -> None:
    mask = np.full((1, 2, 1, 1), -np.inf, np.float32)
    assert read(saved(tmp_path, mask=mask)).notes == ()
    mask[0, 0] = np.nan
    with pytest.raises(InputRefusedError, match="m is not finite"):
        read(saved(tmp_path, mask=mask))


def test_half_precision_is_noted(tmp_path: Path) -> None:
    source = read(saved(tmp_path, weight=np.ones((2, 3, 1, 1), np.float16), mask=np.zeros((1, 2, 1, 1), np.float16)))
    assert "half precision" in source.notes[0]
