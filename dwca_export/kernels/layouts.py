"""Tensors as they lie in ncnn's memory: `(C / elempack, H, W, elempack)`, and planar `(C, H, W)` for elempack 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from dwca_export.errors import InputRefusedError

ELEMPACKS = (1, 4, 8, 16)
DTYPES: dict[str, np.dtype[Any]] = {
    "fp32": np.dtype(np.float32),
    "fp16": np.dtype(np.float16),
    "bf16": np.dtype(np.uint16),
}
"""numpy has no bf16: its bits."""

_LINE = 64


def empty(shape: tuple[int, ...], storage: str) -> np.ndarray:
    """An array that begins at a cache line, as ncnn's do: loads across two lines would be slower."""
    dtype = DTYPES[storage]
    count = int(np.prod(shape))
    memory = np.empty(count * dtype.itemsize + _LINE, np.uint8)
    begin = -memory.ctypes.data % _LINE
    return memory[begin : begin + count * dtype.itemsize].view(dtype).reshape(shape)


def packed_shape(channels: int, height: int, width: int, elempack: int) -> tuple[int, ...]:
    """The shape of a tensor in memory."""
    return (channels, height, width) if elempack == 1 else (channels // elempack, height, width, elempack)


def pack(array: np.ndarray, elempack: int, storage: str = "fp32") -> np.ndarray:
    """Lay a tensor out.

    Args:
        array: float32, `(C, H, W)`.
        elempack: 1, 4, 8 or 16; C is a multiple of it.
        storage: `fp32`, `fp16` or `bf16`; numbers are rounded to the nearest, ties to even.

    Raises:
        InputRefusedError: C is no multiple of `elempack`.
    """
    channels, height, width = array.shape
    if elempack not in ELEMPACKS or channels % elempack:
        raise InputRefusedError(
            f"{channels} channels cannot be packed by {elempack}",
            where="elempack",
            hint="it is 1, 4, 8 or 16, and divides the channels",
        )
    packed = empty(packed_shape(channels, height, width, elempack), storage)
    array = _to_bf16(array) if storage == "bf16" else array
    if elempack > 1:
        array = array.reshape(channels // elempack, elempack, height, width).transpose(0, 2, 3, 1)
    packed[...] = array
    return packed


def unpack(array: np.ndarray, channels: int) -> np.ndarray:
    """The inverse of `pack`: float32, `(C, H, W)`."""
    if array.dtype == np.uint16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if array.ndim > 3:  # noqa: PLR2004  (C / elempack, H, W, elempack)
        array = array.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(array.reshape(channels, *array.shape[-2:]), np.float32)


def _to_bf16(array: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(array), bits >> 16 | 0x40, rounded).astype(np.uint16)
