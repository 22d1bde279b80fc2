"""How layers leave their outputs: one function per habit, used by the table of facts.

Each answers elempack and storage of every output; None where the source was not read that far.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from dwca_export.kernel_paths.case import Case, Storage

Layout: TypeAlias = "tuple[int | None, Storage | None]"

_CHANNELS, _FEATURES = 3, 2  # ranks of a blob with channels, and of one with rows

_INT8_PACK = 8


def as_input(case: Case) -> tuple[Layout, ...]:
    """As the first input; what layers in place do."""
    return tuple((case.pack, case.first.storage) for _ in case.shapes)


def plain(case: Case) -> tuple[Layout, ...]:
    """Unpacked, in 32 bits: layers that exist in plain C++ only."""
    return tuple((1, "fp32") for _ in case.shapes)


def packed_anew(case: Case) -> tuple[Layout, ...]:
    """Each output packed as its own first axis allows."""
    return tuple((case.out_pack(shape[0]), case.first.storage) for shape in case.shapes)


def along_axis(case: Case) -> tuple[Layout, ...]:
    """Concat and Slice: packed anew along the first axis, else as the input."""
    axis = case.layer.int(1 if case.layer.type == "Slice" else 0, 0)
    return packed_anew(case) if axis in {0, -len(case.first.shape)} else as_input(case)


def convolution(case: Case) -> tuple[Layout, ...]:
    """By the number of outputs; quantised layers give 32 bits back, some in packs of at most 8."""
    return ((_convolution_pack(case), case.first.storage),)


def _convolution_pack(case: Case) -> int:
    if not case.int8:
        return case.out_pack(case.n_out)
    if case.layer.type == "ConvolutionDepthWise" and case.group == case.n_in == case.n_out:
        return _INT8_PACK if case.n_out % _INT8_PACK == 0 else 1
    # x86 packs the sums of Winograd by 4 and then by 8, whatever the width that it packs other sums by.
    is_winograd = case.is_square and case.kernel == (3, 3) and case.stride == (1, 1) and case.options.winograd
    many = max(case.n_in, case.n_out) > _INT8_PACK
    if case.target.family == "x86" and ((is_winograd and many) or not case.options.sgemm):
        return min(case.out_pack(case.n_out), _INT8_PACK)
    return case.out_pack(case.n_out)


def pooling(case: Case) -> tuple[Layout, ...]:
    """As the input; adaptive pooling is in plain C++ only."""
    return plain(case) if case.layer.int(7, 0) else as_input(case)


def inner_product(case: Case) -> tuple[Layout, ...]:
    """By the number of outputs for a vector, as the input for a matrix whose rows are the vectors."""
    n = case.n_out
    is_matrix = len(case.first.shape) == _FEATURES and case.first.shape[1] * n == case.layer.int(2, 0)
    if is_matrix:
        # Quantised: rows are packed by 4 whatever the machine's width.
        return ((4 if case.first.shape[0] % 4 == 0 else 1, "fp32"),) if case.int8 else as_input(case)
    if case.int8:
        return ((_INT8_PACK if n % _INT8_PACK == 0 else 1, "fp32"),)
    return ((case.out_pack(n), case.first.storage),)


def crop(case: Case) -> tuple[Layout, ...]:
    """Packed as the input if the cut along the first axis falls between packs, else unpacked."""
    if case.pack is None or case.pack == 1:
        return ((case.pack, case.first.storage),)
    start = _crop_start(case)
    if start is None:
        return ((None, case.first.storage),)
    fits = start % case.pack == 0 and case.shapes[0][0] % case.pack == 0
    return ((case.pack if fits else 1, case.first.storage),)


def _crop_start(case: Case) -> int | None:
    """Where the cut along the first axis starts, None where only a look at expressions could tell."""
    layer, shape = case.layer, case.first.shape
    if case.shapes[0][0] == shape[0]:
        return 0
    if layer.has(9) or layer.has(19) or len(case.inputs) > 1:
        return None
    start = layer.int({1: 0, 2: 1}.get(len(shape), 2), 0)
    return start if start >= 0 else None


def binary(case: Case) -> tuple[Layout, ...]:
    """The wider packing of both inputs, once the one of lower rank is stretched."""
    if len(case.inputs) == 1:
        return as_input(case)
    first, second = (_stretched_pack(case, index) for index in (0, 1))
    elempack = None if first is None or second is None else max(first, second)
    storages = {blob.storage for blob in case.inputs}
    return ((elempack, storages.pop() if len(storages) == 1 else None),)


def _stretched_pack(case: Case, index: int) -> int | None:
    """A vector keeps its packing only if it runs along the first axis of the other input."""
    blob, other = case.inputs[index], case.inputs[1 - index]
    if len(blob.shape) == 1 < len(other.shape) and blob.shape[0] != other.shape[0]:
        return 1
    return blob.elempack


def is_reshape_free(case: Case) -> bool:
    """Whether a Reshape only renames the axes: the first axis stays what it was, packing too."""
    before, after = case.first.shape, case.shapes[0]
    if len(before) == len(after) == 1:
        return True
    both_have_channels = min(len(before), len(after)) >= _CHANNELS
    both_have_rows = len(before) == len(after) == _FEATURES
    same = before[0] == after[0] and prod(before) == prod(after) and case.pack == case.out_pack(after[0])
    return same and (both_have_channels or both_have_rows)
