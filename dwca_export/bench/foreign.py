"""Other frameworks that may be installed: each computes a depthwise layer and times it by itself.

They are imported when they are asked for, and none of them is needed. All run in fp32.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dwca_export.bench.foreign_graphs import save_for_mnn, side_by_side
from dwca_export.bench.slope import FEWEST, SHORT, enough, respite, slope
from dwca_export.errors import DwcaExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dwca_export.bench.subject import Subject

_CALLS_SECONDS = 1e-3
_TRIES = 8


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


class _SideBySide(Framework):
    """Runs networks of copies of the layer side by side, as `slope` does with ncnn's."""

    note = "the slope over copies of the layer, as ncnn's"

    def __init__(self, subject: Subject, array: np.ndarray, threads: int) -> None:
        self._feed, self._threads = np.ascontiguousarray(array[None]), threads
        self.output = self._network(subject, 1, whole=True)()[0]
        self._more = FEWEST
        self._runs = self._networks(subject)
        self._more = enough(self.seconds)
        self._runs = self._networks(subject)

    @abstractmethod
    def _network(self, subject: Subject | None, copies: int, *, whole: bool = False) -> Callable[[], np.ndarray]:
        """What runs a network of copies of the layer that all read one input, and returns `(1, C, H, W)`.

        Args:
            subject: The layer, None for the branches alone.
            copies: Branches.
            whole: Whether to return the whole of the only copy, not the first pixel of each.
        """

    def seconds(self) -> float:
        """Measure once: the seconds of one copy."""
        for _ in range(_TRIES):
            short, long, bare_short, bare_long = (_timed(run, 1) for run in self._runs)
            seconds = slope((short, long), (bare_short, bare_long), self._more)
            if seconds > 0:
                return seconds
        raise DwcaExportError("takes no longer with more copies of the layer than with fewer", where="benchmark")

    def _networks(self, subject: Subject) -> list[Callable[[], np.ndarray]]:
        runs = [self._network(one, copies) for one in (subject, None) for copies in (SHORT, SHORT + self._more)]
        for run in runs:
            run()
        return runs


class OnnxRuntime(_SideBySide):
    """ONNX Runtime's CPU provider."""

    packages = ("onnxruntime", "onnx")

    def _network(self, subject: Subject | None, copies: int, *, whole: bool = False) -> Callable[[], np.ndarray]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        # Threads that wait for work in a loop would take time from the others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = side_by_side(subject, self._feed.shape[1:], copies, whole=whole)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        def run() -> np.ndarray:
            (output,) = session.run(None, {"in0": self._feed})
            return np.asarray(output)

        return run


class OpenVino(_SideBySide):
    """OpenVINO's CPU plugin."""

    packages = ("openvino", "onnx")

    def _network(self, subject: Subject | None, copies: int, *, whole: bool = False) -> Callable[[], np.ndarray]:
        import openvino  # type: ignore[import-not-found,unused-ignore]

        settings = {"INFERENCE_NUM_THREADS": self._threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        core = openvino.Core()
        model = core.read_model(side_by_side(subject, self._feed.shape[1:], copies, whole=whole))
        request = core.compile_model(model, "CPU", settings).create_infer_request()

        def run() -> np.ndarray:
            return np.asarray(request.infer({"in0": self._feed})[0])

        return run


class Mnn(_SideBySide):
    """MNN's CPU backend."""

    packages = ("MNN",)

    def _network(self, subject: Subject | None, copies: int, *, whole: bool = False) -> Callable[[], np.ndarray]:
        with _silent():
            import MNN  # type: ignore[import-not-found,unused-ignore]

            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder, "copies.mnn"))
                save_for_mnn(path, subject, self._feed.shape[1:], copies, whole=whole)
                interpreter = MNN.Interpreter(path)
            session = interpreter.createSession({"numThread": self._threads, "backend": "CPU", "precision": "high"})
            caffe = MNN.Tensor_DimensionType_Caffe
            given = MNN.Tensor(self._feed.shape, MNN.Halide_Type_Float, self._feed, caffe)
            interpreter.getSessionInput(session).copyFrom(given)
            output = interpreter.getSessionOutput(session)
            values = np.zeros(output.getShape(), np.float32)
            taken = MNN.Tensor(output.getShape(), MNN.Halide_Type_Float, values, caffe)

        def run() -> np.ndarray:
            interpreter.runSession(session)
            output.copyToHostTensor(taken)
            filled: np.ndarray = np.array(taken.getNumpyData(), np.float32).reshape(values.shape)
            return filled

        return run


FRAMEWORKS: Mapping[str, type[Framework]] = {
    "torch": Torch,
    "torch, channels last": TorchChannelsLast,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
    "MNN": Mnn,
}


def _timed(run: Callable[[], Any], calls: int) -> float:
    """Seconds of a call, after one that brings weights and buffers back into the cache."""
    run()
    respite()
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Send to standard error what a C++ library prints on standard output, which is for the results."""
    libc = ctypes.CDLL(None)
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        libc.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
