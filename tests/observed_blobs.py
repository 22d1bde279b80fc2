"""What ncnn really does, as far as its blobs show it: the packing and storage of every layer's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ncnn
import numpy as np

from dwca_export.errors import ConversionError
from dwca_export.kernel_paths.case import Blob
from dwca_export.kernel_paths.machine import mode_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from dwca_export.kernel_paths.case import Storage
    from dwca_export.kernel_paths.lint import KernelPath
    from dwca_export.ncnn.param import Param

_AS_IT_IS = 1
_BYTE = 8


def observe(param: Param, files: tuple[Path, Path], feeds: Sequence[np.ndarray], mode: str) -> dict[str, Blob]:
    """Run a network once and look at its blobs as they lie in memory.

    Args:
        param: The graph.
        files: The same graph as a file, and the weights.
        feeds: One float32 array for each input, without batch axis.
        mode: Name of a mode.

    Returns:
        By name; `storage` is `fp32` or, for 16 bits, what the mode stores.

    Raises:
        UsageError: An unknown mode.
        ConversionError: ncnn does not load or run the network.
    """
    with ncnn.Net() as net:
        _set(net.opt, mode)
        if net.load_param(str(files[0])) != 0 or net.load_model(str(files[1])) != 0:
            raise ConversionError("ncnn does not load the network", where=f"ncnn {files[0].name}")
        with net.create_extractor() as extractor:
            arrays = [np.ascontiguousarray(feed, dtype=np.float32) for feed in feeds]
            for name, array in zip(param.inputs, arrays, strict=True):
                extractor.input(name, ncnn.Mat(array).clone())
            return {blob: _look(extractor, blob, mode) for blob in param.blobs}


def _set(option: ncnn.Option, mode: str) -> None:
    options = mode_named(mode)
    option.num_threads = 1
    option.lightmode = False
    option.use_fp16_packed = option.use_fp16_storage = options.fp16_storage
    option.use_fp16_arithmetic = options.fp16_arithmetic
    option.use_bf16_storage = options.bf16_storage
    option.use_int8_inference = options.int8


def _look(extractor: ncnn.Extractor, blob: str, mode: str) -> Blob:
    status, mat = extractor.extract(blob, _AS_IT_IS)
    if status != 0 or mat.empty():
        raise ConversionError(f"ncnn fails to compute blob {blob!r} (status {status})", where="ncnn")
    bits = mat.elemsize * _BYTE // mat.elempack
    sixteen: Storage = "bf16" if mode_named(mode).bf16_storage else "fp16"
    shape = [mat.w] if mat.dims == 1 else [mat.h, mat.w] if mat.dims == 2 else [mat.c, mat.d, mat.h, mat.w]
    if mat.dims == 3:
        del shape[1]
    return Blob((shape[0] * mat.elempack, *shape[1:]), mat.elempack, "fp32" if bits == 32 else sixteen)


def mismatches(paths: Iterable[KernelPath], param: Param, observed: Mapping[str, Blob]) -> list[str]:
    """Where prediction and observation differ: one line a blob.

    Args:
        paths: Of one target and mode, one a layer.
        param: The network that they are of.
        observed: What `observe` returned for it.
    """
    layers = [layer for layer in param.layers if layer.type != "Input"]
    lines = []
    for path, layer in zip(paths, layers, strict=True):
        for blob, predicted in zip(layer.tops, path.written, strict=True):
            seen = observed[blob]
            if not _agree(predicted, seen):
                lines.append(f"{path.type} {path.layer}, blob {blob}: predicted {_text(predicted)}, seen {_text(seen)}")
    return lines


def _agree(predicted: Blob, seen: Blob) -> bool:
    """What is not known claims nothing."""
    packs = predicted.elempack in {None, seen.elempack}
    return packs and predicted.storage in {None, seen.storage} and predicted.shape == seen.shape


def _text(blob: Blob) -> str:
    return f"{blob.shape} elempack {blob.elempack} {blob.storage}"
