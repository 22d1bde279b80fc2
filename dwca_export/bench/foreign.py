"""Other frameworks that may be installed: each computes a depthwise layer and times it by itself.

They are imported when they are asked for, and none of them is needed. All run in fp32.
"""

from __future__ import annotations

import importlib.util
import time
from abc import ABC, abstractmethod
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dwca_export.bench.branches import FEWEST, LONG_SECONDS, MOST, SHORT, slope
from dwca_export.errors import DwcaExportError, InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dwca_export.bench.subject import Subject

_CALLS_SECONDS = 1e-3


class Framework(ABC):
    """A layer in another framework.

    Args:
        subject: The layer.
        array: Its input, float32, `(C, H, W)`.
        threads: Threads that it may use.

    Attributes:
        output: What it computed, float32, `(C, OH, OW)`.
    """

    packages: ClassVar[tuple[str, ...]]
    note: ClassVar[str]
    output: np.ndarray

    @abstractmethod
    def __init__(self, subject: Subject, array: np.ndarray, threads: int) -> None: ...

    @abstractmethod
    def seconds(self) -> float:
        """Measure once: the seconds of one call."""

    @classmethod
    def is_installed(cls) -> bool:
        """Whether it can be imported."""
        return all(importlib.util.find_spec(package) for package in cls.packages)


class Torch(Framework):
    """PyTorch, eager, on contiguous tensors."""

    packages = ("torch",)
    note = "with the call from Python and its changes of layout"
    _format = "contiguous_format"

    def __init__(self, subject: Subject, array: np.ndarray, threads: int) -> None:
        import torch

        self._torch, self._threads = torch, threads
        memory_format = getattr(torch, self._format)
        x = torch.from_numpy(array)[None].contiguous(memory_format=memory_format)
        weight = torch.from_numpy(subject.weight)[:, None].contiguous(memory_format=memory_format)
        bias = None if subject.bias is None else torch.from_numpy(subject.bias)
        self._run = self._layer(subject, x, weight, bias)
        self.output = self._in_threads(self._run)[0].numpy()
        self._calls = ceil(_CALLS_SECONDS / min(self._in_threads(lambda: _timed(self._run, 1)) for _ in range(3)))

    def seconds(self) -> float:
        """Measure once: the seconds of one call."""
        return float(self._in_threads(lambda: _timed(self._run, self._calls)))

    def _layer(self, subject: Subject, x: Any, weight: Any, bias: Any) -> Callable[[], Any]:
        functional = self._torch.nn.functional
        layer = subject.layer
        top, bottom, left, right = layer.padding
        activation = {"none": None, "relu": "relu_", "relu6": "relu6", "hardswish": "hardswish"}[layer.activation]
        activate = getattr(functional, activation) if activation else None
        even = top == bottom and left == right

        def run() -> Any:
            given = x if even else functional.pad(x, (left, right, top, bottom))
            padding = (top, left) if even else (0, 0)
            y = functional.conv2d(given, weight, bias, layer.stride, padding, layer.dilation, layer.channels)
            return activate(y) if activate else y

        return run

    def _in_threads(self, run: Callable[[], Any]) -> Any:
        before = self._torch.get_num_threads()
        self._torch.set_num_threads(self._threads)
        try:
            with self._torch.inference_mode():
                return run()
        finally:
            self._torch.set_num_threads(before)


class TorchChannelsLast(Torch):
    """PyTorch, eager, on tensors in the channels-last format."""

    _format = "channels_last"


class _FromOnnx(Framework):
    """Runs an ONNX network of the layer's copies side by side, as `branches` does with ncnn's."""

    note = "the slope over copies of the layer, as ncnn's"

    def __init__(self, subject: Subject, array: np.ndarray, threads: int) -> None:
        self._feed = array[None]
        self.output = self._open(_onnx(subject, array.shape, 1, whole=True), threads)(self._feed)[0]
        self._more = FEWEST
        self._runs = self._networks(subject, threads)
        self._more = min(MOST, max(FEWEST, ceil(LONG_SECONDS / self.seconds())))
        self._runs = self._networks(subject, threads)

    @abstractmethod
    def _open(self, model: bytes, threads: int) -> Callable[[np.ndarray], np.ndarray]:
        """What runs a serialised ONNX model."""

    def seconds(self) -> float:
        """Measure once: the seconds of one copy."""
        for _ in range(8):
            short, long, bare_short, bare_long = (_timed(partial(run, self._feed), 1) for run in self._runs)
            seconds = slope((short, long), (bare_short, bare_long), self._more)
            if seconds > 0:
                return seconds
        raise DwcaExportError("takes no longer with more copies of the layer than with fewer", where="benchmark")

    def _networks(self, subject: Subject, threads: int) -> list[Callable[[np.ndarray], np.ndarray]]:
        shape = self._feed.shape[1:]
        runs = [
            self._open(_onnx(one, shape, copies), threads)
            for one in (subject, None)
            for copies in (SHORT, SHORT + self._more)
        ]
        for run in runs:
            run(self._feed)
        return runs


class OnnxRuntime(_FromOnnx):
    """ONNX Runtime's CPU provider."""

    packages = ("onnxruntime", "onnx")

    def _open(self, model: bytes, threads: int) -> Callable[[np.ndarray], np.ndarray]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Threads that wait for work in a loop would take time from the others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        def run(array: np.ndarray) -> np.ndarray:
            (output,) = session.run(None, {"in0": array})
            return np.asarray(output)

        return run


class OpenVino(_FromOnnx):
    """OpenVINO's CPU plugin."""

    packages = ("openvino", "onnx")

    def _open(self, model: bytes, threads: int) -> Callable[[np.ndarray], np.ndarray]:
        import openvino  # type: ignore[import-not-found,unused-ignore]

        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        core = openvino.Core()
        request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()

        def run(array: np.ndarray) -> np.ndarray:
            return np.asarray(request.infer({"in0": array})[0])

        return run


FRAMEWORKS: Mapping[str, type[Framework]] = {
    "torch": Torch,
    "torch, channels last": TorchChannelsLast,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
}


def _timed(run: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def _onnx(subject: Subject | None, shape: tuple[int, ...], copies: int, *, whole: bool = False) -> bytes:
    """A serialised network of copies of the layer, or of the branches alone, that all read one input.

    Args:
        subject: The layer, None for the branches alone.
        shape: Of the input.
        copies: Branches.
        whole: Whether to return the whole of the only copy, not the first pixel of each.
    """
    from onnx import TensorProto, helper

    branches = [_onnx_branch(subject, shape, copy, whole=whole) for copy in range(copies)]
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


def _onnx_branch(
    subject: Subject | None, shape: tuple[int, ...], copy: int, *, whole: bool
) -> tuple[list[Any], list[Any]]:
    """Nodes and weights of one branch.

    A MaxPool of one pixel with a stride beyond the image takes the first pixel in whatever layout the branch is. The
    strides differ, because branches that were equal would be merged into one.
    """
    from onnx import helper

    nodes, values, last = _onnx_layer(subject, copy) if subject else ([], [], "in0")
    if not whole:
        size = (subject.layer.out_height, subject.layer.out_width) if subject else shape[1:]
        strides = [side + copy for side in size]
        nodes.append(helper.make_node("MaxPool", [last], [f"pixel_{copy}"], kernel_shape=[1, 1], strides=strides))
    return nodes, values


def _onnx_layer(subject: Subject, copy: int) -> tuple[list[Any], list[Any], str]:
    from onnx import helper, numpy_helper

    layer = subject.layer
    # Copies that were equal to the last bit would be merged into one.
    weight = subject.weight[:, None] * np.float32(1 + copy * 2.0**-20)
    tensors = {f"weight_{copy}": weight} | ({} if subject.bias is None else {f"bias_{copy}": subject.bias})
    top, bottom, left, right = layer.padding
    attributes = {"group": layer.channels, "kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}
    attributes |= {"pads": [top, left, bottom, right], "dilations": [layer.dilation] * 2}
    last = f"layer_{copy}"
    nodes = [helper.make_node("Conv", ["in0", *tensors], [last], **attributes)]
    values = [numpy_helper.from_array(np.ascontiguousarray(tensor), name) for name, tensor in tensors.items()]
    if layer.activation != "none":
        nodes.append(_onnx_activation(layer.activation, last, f"active_{copy}", values, copy))
        last = f"active_{copy}"
    return nodes, values, last


def _onnx_activation(activation: str, bottom: str, top: str, values: list[Any], copy: int) -> Any:
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
