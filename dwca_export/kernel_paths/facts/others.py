"""InnerProduct, BinaryOp, GroupNorm, layers in place, and those that move data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.kernel_paths import conditions as c
from dwca_export.kernel_paths import remedies
from dwca_export.kernel_paths.facts.rows import FAMILIES, NOT_KNOWN, Kernel
from dwca_export.kernel_paths.outputs import crop, is_reshape_free

if TYPE_CHECKING:
    from dwca_export.kernel_paths.case import Blob, Case
    from dwca_export.kernel_paths.machine import Family

IN_PLACE = ("Sigmoid", "HardSwish", "ReLU", "Swish", "HardSigmoid", "Clip", "UnaryOp", "GELU", "ELU")
"""Layers whose loop runs over width x height x elempack: packed or not, all lanes are full."""

_KEEP_CHANNELS = remedies.say("a reshape that leaves the channels as they are only renames the axes")
_NO_PERMUTE = remedies.say("a Reshape instead, where one of the exchanged axes is 1")
_EVEN_SPLIT = remedies.say("parts of as many channels as the target packs")


def _stretch(blob: Blob, other: Blob) -> tuple[int, ...]:
    """The shape that BinaryOp gives the blob of lower rank: a vector runs along the channels if it fits them."""
    missing = len(other.shape) - len(blob.shape)
    if missing <= 0:
        return blob.shape
    if len(blob.shape) == 1 and blob.shape[0] != other.shape[0]:
        return (*(1,) * missing, *blob.shape)
    return (*blob.shape, *(1,) * missing)


def _operands(case: Case) -> tuple[tuple[int, ...], tuple[int, ...]]:
    first, second = case.inputs
    return _stretch(first, second), _stretch(second, first)


def _is_same(case: Case) -> bool:
    first, second = _operands(case)
    return first == second


def _is_one_number(case: Case) -> bool:
    return any(set(shape) == {1} for shape in _operands(case))


def _is_one_per_channel(case: Case) -> bool:
    return any(len(shape) > 2 and set(shape[1:]) == {1} for shape in _operands(case))  # noqa: PLR2004  axes behind channels


def _group_pack(case: Case) -> int:
    return case.out_pack(case.layer.int(1, 0) // case.layer.int(0, 1))


def _crop_fits(case: Case) -> bool | None:
    elempack = crop(case)[0][0]
    return None if elempack is None else elempack == case.pack


_SAME = c.test("equal shapes", _is_same)
_ONE_NUMBER = c.test("one number", _is_one_number)
_ONE_PER_CHANNEL = c.test("one number a channel", _is_one_per_channel)
_BATCH_AXIS = c.test("a batch axis", lambda case: case.layer.has(12) or case.layer.has(13))
_FREE = c.test("same channels", is_reshape_free)
_NARROW_GROUPS = c.test("groups narrower than a pack", lambda case: (case.pack or 1) > _group_pack(case))
_ALL_UNPACKED = c.test(
    "unpacked", lambda case: case.pack == 1 and all(case.out_pack(shape[0]) == 1 for shape in case.shapes)
)
_EQUAL_PACKS = c.test(
    "equal packing",
    lambda case: {case.out_pack(shape[0]) for shape in case.shapes} == {b.elempack for b in case.inputs},
)
_OTHER_AXIS = c.test(
    "not along the channels",
    lambda case: case.layer.int(1 if case.layer.type == "Slice" else 0, 0) not in {0, -len(case.first.shape)},
)
_IN_PACKS = c.test("start and size fill packs", _crop_fits)


# fmt: off
_INNER_PRODUCT: tuple[Kernel, ...] = (
    *(Kernel("InnerProduct", family, (c.INT8, c.outputs(8)), "int8 product, 8 outputs at a time", "fast",
             "outputs fill packs", f"{family}/innerproduct_{family}.cpp") for family in FAMILIES),
    *(Kernel("InnerProduct", family, (c.INT8,), "int8 scalar loop over the inputs", "scalar",
             "the number of outputs is no multiple of 8", f"{family}/innerproduct_{family}.cpp",
             remedies.output_channels(8)) for family in FAMILIES),
    Kernel("InnerProduct", "x86", (c.BF16,), "innerproduct_bf16s_sse", "fast", "bf16 blobs",
           "x86/innerproduct_x86.cpp"),
    Kernel("InnerProduct", "x86", (c.FP16_WEIGHTS,), "innerproduct_fp16s_sse", "fast",
           "weights in fp16, blobs in fp32: fp16 storage acts on x86 here alone", "x86/innerproduct_x86.cpp"),
    Kernel("InnerProduct", "x86", (), "innerproduct_sse", "fast", "fp32", "x86/innerproduct_x86.cpp"),
    Kernel("InnerProduct", "arm", (c.HALF,), "InnerProduct_arm::forward_fp16sa", "fast", "fp16 arithmetic",
           "arm/innerproduct_arm_asimdhp.cpp"),
    Kernel("InnerProduct", "arm", (c.FP16,), "innerproduct_fp16s_neon", "fast", "fp16 blobs, sums in fp32",
           "arm/innerproduct_arm_vfpv4.cpp"),
    Kernel("InnerProduct", "arm", (c.FP16_WEIGHTS,), "innerproduct_fp16s_neon", "fast",
           "weights in fp16, blobs in fp32: fp16 storage acts on ARMv8 here", "arm/innerproduct_arm_vfpv4.cpp"),
    Kernel("InnerProduct", "arm", (c.BF16,), "innerproduct_bf16s_neon", "fast", "bf16 blobs",
           "arm/innerproduct_gemm_bf16s.h"),
    Kernel("InnerProduct", "arm", (), "InnerProduct_arm::forward", "fast", "fp32", "arm/innerproduct_arm.cpp"),
)


def _binary(family: Family) -> tuple[Kernel, ...]:
    source = f"{family}/binaryop_{family}.cpp"
    return (
        Kernel("BinaryOp", family, (c.WITH_SCALAR,), "binary_op_scalar_inplace", "fast", "a number from the param",
               source),
        Kernel("BinaryOp", family, (_ONE_NUMBER,), "binary_op_scalar", "fast", "one operand is a single number",
               source),
        Kernel("BinaryOp", family, (_SAME,), "binary_op_no_broadcast", "fast", "equal shapes", source),
        Kernel("BinaryOp", family, (_ONE_PER_CHANNEL,), "binary_op_vector, channel by channel", "fast",
               "one number a channel", source),
        Kernel("BinaryOp", family, (), "binary_op_vector, row by row", "fast", "broadcast along a row or over the rows",
               source),
    )


def _others(family: Family) -> tuple[Kernel, ...]:
    return (
        *_binary(family),
        Kernel("GroupNorm", family, (_NARROW_GROUPS,), "group by group{store}, repacked before and after", "copies",
               "a group has fewer channels than a pack", f"{family}/groupnorm_{family}.cpp", remedies.wider_groups),
        Kernel("GroupNorm", family, (), "group by group{store}", "fast", "groups fill packs",
               f"{family}/groupnorm_{family}.cpp"),
        *(Kernel(name, family, (), "{type}_{family}::forward_inplace", "fast", "runs over width x height x elempack",
                 f"{family}/{name.lower()}_{family}.cpp") for name in IN_PLACE),
        *(Kernel(name, family, (), "no work", "fast", "hands its blob on", f"{name.lower()}.cpp")
          for name in ("Split", "Noop")),
        Kernel("DeepCopy", family, (), "copies its blob", "fast", "has no 16 bit form: what is behind it reads 32 bits",
               "deepcopy.cpp"),
        Kernel("MemoryData", family, (), "copies its data", "fast", "a constant", "memorydata.cpp"),
        Kernel("Reshape", family, (_BATCH_AXIS,), NOT_KNOWN, "unknown", "moves the batch axis",
               f"{family}/reshape_{family}.cpp"),
        Kernel("Reshape", family, (_FREE,), "no copy", "fast", "only renames the axes",
               f"{family}/reshape_{family}.cpp"),
        Kernel("Reshape", family, (_ALL_UNPACKED,), "copy", "fast", "unpacked", f"{family}/reshape_{family}.cpp"),
        Kernel("Reshape", family, (), "flattened and packed anew", "copies", "the channels change",
               f"{family}/reshape_{family}.cpp", _KEEP_CHANNELS),
        Kernel("Flatten", family, (c.FLAT,), "no copy", "fast", "a vector already", f"{family}/flatten_{family}.cpp"),
        Kernel("Flatten", family, (), "copy", "fast", "packs become a vector", f"{family}/flatten_{family}.cpp"),
        *(Kernel(name, family, (_OTHER_AXIS,), "copy of whole packs", "fast", "not along the channels",
                 f"{family}/{name.lower()}_{family}.cpp") for name in ("Concat", "Slice")),
        *(Kernel(name, family, (_EQUAL_PACKS,), "copy of whole packs", "fast", "all parts are packed alike",
                 f"{family}/{name.lower()}_{family}.cpp") for name in ("Concat", "Slice")),
        *(Kernel(name, family, (), "copy, repacked element by element", "copies", "the parts are packed differently",
                 f"{family}/{name.lower()}_{family}.cpp", _EVEN_SPLIT) for name in ("Concat", "Slice")),
        Kernel("Crop", family, (c.UNPACKED,), "copy", "fast", "unpacked", f"{family}/crop_{family}.cpp"),
        Kernel("Crop", family, (_IN_PACKS,), "copy of whole packs", "fast", "the cut falls between packs",
               f"{family}/crop_{family}.cpp"),
        Kernel("Crop", family, (), "copy after unpacking", "copies", "the cut goes through a pack",
               f"{family}/crop_{family}.cpp", _EVEN_SPLIT),
        *(Kernel(name, family, (), "{type}::forward, unpacked", "copies", "exists in plain C++ only",
                 f"{name.lower()}.cpp", remedies.say("Reshape does the same packed"))
          for name in ("Squeeze", "ExpandDims")),
    )
# fmt: on


_PERMUTE: tuple[Kernel, ...] = (
    Kernel("Permute", "x86", (), NOT_KNOWN, "unknown", "ncnn 1.0.20261020 takes bf16, the source read takes none", ""),
    Kernel("Permute", "arm", (), "Permute::forward, scalar", "scalar", "plain C++ only", "permute.cpp", _NO_PERMUTE),
)

KERNELS = (*_PERMUTE, *_INNER_PRODUCT, *_others("x86"), *_others("arm"))
