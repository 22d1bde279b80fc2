"""A network in ncnn as it is timed: with ncnn's options set, and nothing between the calls of ncnn and the clock."""

from __future__ import annotations

import hashlib
import statistics
import time
from typing import TYPE_CHECKING, Any

import ncnn
import numpy as np

from dwca_export.audit.forked import in_child
from dwca_export.bench.variants import POWERSAVE
from dwca_export.bench.work import misfit
from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.runners.ncnn import set_mode

if TYPE_CHECKING:
    from types import TracebackType

    from dwca_export.bench.target import Blobs, Target
    from dwca_export.bench.variants import Variant
    from dwca_export.bench.work import Sizes
    from dwca_export.ncnn.param import Layer, Param

_WINOGRAD = tuple(f"use_winograd{tiles}_convolution" for tiles in ("", 23, 43, 63))
_AS_IT_IS = 1  # ncnn's `extract` then neither unpacks nor casts


class Network:
    """A network that is ready to be timed; it holds the inputs as ncnn takes them.

    Sets the cores that ncnn uses, which is one setting for the whole process.

    Args:
        target: The network and its inputs.
        variant: ncnn's options.
        keep_blobs: Whether blobs are kept after their last reader, as `digest` needs it.

    Raises:
        ConversionError: ncnn does not load it.
    """

    def __init__(self, target: Target, variant: Variant, *, keep_blobs: bool = False) -> None:
        self.where = f"ncnn {target.param_file.name}"
        if variant.cores != "all":  # setting it starts a thread on every core, which nothing else may need
            ncnn.set_cpu_powersave(POWERSAVE.index(variant.cores))
        self._net = ncnn.Net()
        _set_options(self._net.opt, variant)
        self._net.opt.lightmode = not keep_blobs
        if self._net.load_param(str(target.param_file)) or self._net.load_model(str(target.bins[variant.weights])):
            raise ConversionError("ncnn does not load the network", where=self.where)
        self._index = index = {blob.name: number for number, blob in enumerate(self._net.blobs())}
        # ncnn.Mat shares the array's memory, and layers that work in place would write to it.
        self._inputs = [
            [(index[blob], ncnn.Mat(np.ascontiguousarray(array)).clone()) for blob, array in sample.items()]
            for sample in target.samples
        ]
        self._outputs = {blob: index[blob] for blob in target.param.outputs}
        self._computed = [index[blob] for blob in target.param.computed]
        last = set(self._outputs.values())
        layers = computing_layers(target.param)
        # What is an output is converted for the user, whom it costs time; the others stay as they are.
        self._layers = [(index[layer.tops[0]], 0 if index[layer.tops[0]] in last else _AS_IT_IS) for layer in layers]
        self._turn = 0

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._net.clear()

    def time_once(self) -> float:
        """Seconds from the inputs to the outputs, of one sample after the other, after a run that is not timed.

        The run before brings weights and inputs back to where a network that runs alone has them.
        """
        inputs = self._next()
        self._run(inputs)
        start = time.perf_counter()
        self._run(inputs)
        return time.perf_counter() - start

    def time_layers(self) -> list[float]:
        """Seconds of each layer that computes something, in the order of execution, each on what those before it left.

        One extractor is asked for the blobs in order: what they are made of is there already, so that each question
        runs one layer (with the `Split` before it, which copies nothing), from and to the memory that it has in a run
        of the whole. A second question for the same blob costs what asking costs: the median of that is subtracted.

        Raises:
            ConversionError: ncnn fails.
        """
        inputs = self._next()
        self._run(inputs)
        times, costs = [], []
        clock = time.perf_counter
        with self._net.create_extractor() as extractor:
            for index, mat in inputs:
                extractor.input(index, mat)
            extract = extractor.extract
            for index, kind in self._layers:
                start = clock()
                failed = extract(index, kind)[0]
                computed = clock()
                failed = extract(index, _AS_IT_IS)[0] or failed
                asked = clock()
                if failed:
                    raise ConversionError(f"ncnn fails (status {failed})", where=self.where)
                times.append(computed - start)
                costs.append(asked - computed)
        cost = statistics.median(costs)
        return [max(seconds - cost, 0.0) for seconds in times]

    def outputs(self) -> list[Blobs]:
        """What it computes of each sample, without batch axis."""
        found = []
        for inputs in self._inputs:
            with self._net.create_extractor() as extractor:
                for index, mat in inputs:
                    extractor.input(index, mat)
                found.append({blob: self._take(extractor, index) for blob, index in self._outputs.items()})
        return found

    def digest(self) -> str:
        """A hash of all that it computes of the first sample: equal where another variant takes the same kernels."""
        digest = hashlib.sha256()
        with self._net.create_extractor() as extractor:
            for index, mat in self._inputs[0]:
                extractor.input(index, mat)
            for index in self._computed:
                digest.update(self._take(extractor, index).tobytes())
        return digest.hexdigest()

    def blob_sizes(self) -> Sizes:
        """Shape (C order, no batch axis) and bytes of every blob of the first sample as it lies in memory."""
        sizes = {}
        with self._net.create_extractor() as extractor:
            for index, mat in self._inputs[0]:
                extractor.input(index, mat)
            for name, index in self._index.items():
                status, mat = extractor.extract(index, _AS_IT_IS)
                if status or mat.empty():
                    raise ConversionError(f"ncnn fails (status {status})", where=self.where)
                sizes[name] = _size(mat)
        return sizes

    def _next(self) -> list[tuple[int, Any]]:
        self._turn += 1
        return self._inputs[self._turn % len(self._inputs)]

    def _run(self, inputs: list[tuple[int, Any]]) -> None:
        with self._net.create_extractor() as extractor:
            for index, mat in inputs:
                extractor.input(index, mat)
            for index in self._outputs.values():
                status, _ = extractor.extract(index)
                if status:
                    raise ConversionError(f"ncnn fails (status {status})", where=self.where)

    def _take(self, extractor: Any, index: int) -> np.ndarray:
        status, mat = extractor.extract(index)
        if status or mat.empty():
            raise ConversionError(f"ncnn fails (status {status})", where=self.where)
        return np.array(mat)


def computing_layers(param: Param) -> list[Layer]:
    """The layers that compute something, in the order of execution: not `Input`, nor `Split`, which copies nothing."""
    return [layer for layer in param.layers if layer.type not in ("Input", "Split")]


def blob_sizes(target: Target, variant: Variant) -> Sizes:
    """Shape and bytes of every blob, found out in a process that may crash.

    Raises:
        ConversionError: ncnn does not run the network.
        InputRefusedError: The inputs do not fit the network.
    """
    sizes = in_child(lambda: _sizes(target, variant), f"{target.name}, {variant.name}")
    for layer in computing_layers(target.param):
        if fault := misfit(layer, sizes):
            where, hint = f"ncnn layer {layer.name} ({layer.type})", "give the right one with --shape"
            raise InputRefusedError(fault, where=where, hint=hint)
    return sizes


def _sizes(target: Target, variant: Variant) -> Sizes:
    with Network(target, variant, keep_blobs=True) as network:
        return network.blob_sizes()


def _set_options(option: Any, variant: Variant) -> None:
    set_mode(option, variant.mode)
    option.use_int8_inference = True  # layers that are quantised run as such; for others it changes nothing
    option.num_threads = variant.threads
    option.use_packing_layout = variant.packing
    option.use_sgemm_convolution = variant.sgemm
    for name in _WINOGRAD:
        setattr(option, name, variant.winograd)


def _size(mat: Any) -> tuple[tuple[int, ...], int]:
    """Shape in C order, packed channels counted one by one, and bytes without the gaps between channels."""
    shape = {1: (mat.w,), 2: (mat.h, mat.w), 3: (mat.c, mat.h, mat.w), 4: (mat.c, mat.d, mat.h, mat.w)}[mat.dims]
    return (shape[0] * mat.elempack, *shape[1:]), int(np.prod(shape)) * mat.elemsize
