"""ncnn's bin: the weights of a param's layers, read and written byte for byte.

Tensors follow each other in the order of the layers, each padded to four bytes (ncnn's `src/modelbin.cpp`). Those that
may be stored in less than float32 start with a tag of four bytes; which ones they are, `layouts` knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from dwca_export.errors import ConversionError
from dwca_export.ncnn.layouts import slots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dwca_export.ncnn.layouts import Slot
    from dwca_export.ncnn.param import Layer, Param

Storage: TypeAlias = Literal["raw", "raw8", "fp32", "fp16", "bf16", "int8"]
"""How a tensor is kept: `raw` is float32 and `raw8` int8 without a tag, the others follow their tag."""

DTYPES: dict[Storage, np.dtype[Any]] = {
    "raw": np.dtype("<f4"),
    "raw8": np.dtype("i1"),
    "fp32": np.dtype("<f4"),
    "fp16": np.dtype("<f2"),
    "bf16": np.dtype("<u2"),  # numpy has no bfloat16: the bits
    "int8": np.dtype("i1"),
}
TAGS: dict[Storage, int] = {"fp32": 0, "fp16": 0x01306B47, "bf16": 0x01348B83, "int8": 0x000D4B38}

ALIGNMENT = 4
FP16_PADDING = bytes.fromhex("8322")
"""What pnnx puts behind an odd number of fp16 values."""

FP16_SMALLEST_NORMAL = np.float32(2.0**-14)
FP16_OVERFLOW = np.float32(65520)
"""Magnitudes from here on round to infinity."""


@dataclass(frozen=True, eq=False)
class Weight:
    """One tensor of the bin.

    Attributes:
        layer: Name of the layer that reads it.
        name: What it is to the layer (`weight`, `bias`, `gamma`, ...; see `layouts`).
        storage: How the file keeps it.
        data: Read-only, shaped, of `DTYPES[storage]`. pnnx keeps integer constants in `raw` too,
            as the bits of int32.
        padding: The bytes between the data and the next multiple of four.
    """

    layer: str
    name: str
    storage: Storage
    data: NDArray[Any]
    padding: bytes = b""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data in C order, slowest dimension first."""
        return self.data.shape


def read_weights(param: Param, data: bytes) -> tuple[Weight, ...]:
    """All tensors of a bin; the arrays are views of `data`.

    Args:
        param: The graph that the bin belongs to.
        data: All of the file.

    Raises:
        ConversionError: A layer type that ncnn does not know, an unknown storage tag, bytes that are missing or left
            over; naming the layer.
    """
    weights: list[Weight] = []
    offset = 0
    for layer in param.layers:
        for slot in slots(layer):
            weight, offset = _read(layer, slot, data, offset)
            weights.append(weight)
    if offset != len(data):
        behind = f"behind {weights[-1].name} of layer {weights[-1].layer}, the last to read any" if weights else "of it"
        raise ConversionError(
            f"{len(data) - offset} bytes {behind}, belong to no layer", where="ncnn bin", hint=_MISFIT
        )
    return tuple(weights)


def write_weights(weights: Sequence[Weight]) -> bytes:
    """The bin with these tensors, in this order.

    Raises:
        ConversionError: A tensor whose data or padding do not fit its storage.
    """
    return b"".join(map(_bytes, weights))


def check_weights(param: Param, weights: Sequence[Weight]) -> None:
    """Hold the tensors to what the layers of `param` read: the same layers, names and shapes in the same order.

    Raises:
        ConversionError: Naming the first layer whose weights are missing, left over, misplaced or misshapen.
    """
    wanted = [(layer.name, slot) for layer in param.layers for slot in slots(layer)]
    for want, weight in zip_longest(wanted, weights):
        if want is None:
            raise _misfit(weight.layer, f"{weight.name} {weight.shape} is one too many")
        layer, slot = want
        if weight is None or (weight.layer, weight.name) != (layer, slot.name):
            found = f"{weight.name} of {weight.layer}" if weight else "nothing"
            raise _misfit(layer, f"{slot.name} is wanted, {found} comes")
        if weight.shape != slot.shape or slot.kept != ("tagged" if weight.storage in TAGS else weight.storage):
            raise _misfit(layer, f"{slot.name} is {weight.storage} {weight.shape}, {slot.kept} {slot.shape} is wanted")


def to_fp16(param: Param, weights: Sequence[Weight]) -> tuple[Weight, ...]:
    """The tensors as `pnnx fp16=1` stores them: tagged float32 becomes fp16, all else stays.

    Rounding is pnnx's (`float32_to_float16` of its `src/utils.cpp`, in the release that `tools/constraints.txt` names):
    to nearest, halves away from zero, magnitudes below 2**-14 to zero.

    Raises:
        ConversionError: A finite value becomes infinite, or the tensors are not those of `param`.
    """
    check_weights(param, weights)
    return tuple(_to_fp16(weight) if weight.storage == "fp32" else weight for weight in weights)


_MISFIT = "param and bin belong to different models, or the file is damaged"


def _misfit(layer: str, what: str) -> ConversionError:
    return ConversionError(what, where=f"ncnn bin, layer {layer}", hint=_MISFIT)


def _read(layer: Layer, slot: Slot, data: bytes, offset: int) -> tuple[Weight, int]:
    """The tensor at `offset` and the offset behind it."""
    if slot.kept == "tagged":
        storage = _storage(layer, slot, data[offset : offset + ALIGNMENT])
        offset += ALIGNMENT
    else:
        storage = slot.kept
    count = prod(slot.shape)
    end = offset + count * DTYPES[storage].itemsize
    padded_end = end + _padding_length(end - offset)
    if padded_end > len(data):
        raise _misfit(layer.name, f"cut off: {slot.name} {slot.shape} lacks {padded_end - len(data)} bytes")
    values = np.frombuffer(data, DTYPES[storage], count, offset).reshape(slot.shape)
    return Weight(layer.name, slot.name, storage, values, data[end:padded_end]), padded_end


def _storage(layer: Layer, slot: Slot, tag: bytes) -> Storage:
    for storage, value in TAGS.items():
        if tag == value.to_bytes(ALIGNMENT, "little"):
            return storage
    raise _misfit(layer.name, f"{slot.name} starts with {tag.hex() or 'nothing'}, which is no known storage tag")


def _bytes(weight: Weight) -> bytes:
    data = weight.data
    if data.dtype != DTYPES[weight.storage] or len(weight.padding) != _padding_length(data.nbytes):
        what = f"{weight.name} is not {weight.storage}: {data.dtype} with {len(weight.padding)} bytes of padding"
        raise ConversionError(what, where=f"ncnn bin, layer {weight.layer}")
    tag = TAGS[weight.storage].to_bytes(ALIGNMENT, "little") if weight.storage in TAGS else b""
    return tag + data.tobytes() + weight.padding


def _padding_length(n_bytes: int) -> int:
    return -n_bytes % ALIGNMENT


def _to_fp16(weight: Weight) -> Weight:
    overflow = np.isfinite(weight.data) & (np.abs(weight.data) >= FP16_OVERFLOW)
    if overflow.any():
        raise ConversionError(
            f"{weight.name} holds {weight.data[overflow][0]}, beyond fp16's range (65504)",
            where=f"ncnn bin, layer {weight.layer}",
            hint="keep this model in fp32",
        )
    data = _round_to_fp16(weight.data)
    data.flags.writeable = False
    return Weight(weight.layer, weight.name, "fp16", data, FP16_PADDING if data.size % 2 else b"")


def _round_to_fp16(values: NDArray[np.float32]) -> NDArray[np.float16]:
    bits = np.ascontiguousarray(values).view("<u4")
    sign = (bits >> 16) & 0x8000
    magnitude = bits & 0x7FFFFFFF
    # Rebias the exponent, add half of what is cut off: a carry into the exponent is right.
    rounded = (magnitude - (112 << 23) + 0x1000) >> 13
    rounded = np.where(np.abs(values) < FP16_SMALLEST_NORMAL, 0, rounded)
    rounded = np.where(np.isinf(values), 0x7C00, np.where(np.isnan(values), 0x7E00, rounded))
    return (sign | rounded).astype("<u2").view("<f2")
