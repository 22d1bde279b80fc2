"""Convolution: Winograd, matrix products and direct kernels.

ncnn decides when it loads the weights, from the numbers of channels. Only x86 also looks at sizes, if the param gives
them as shape hints, which pnnx does not write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.kernel_paths import conditions as c
from dwca_export.kernel_paths import remedies
from dwca_export.kernel_paths.facts.rows import FAMILIES, NOT_KNOWN, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwca_export.kernel_paths.case import Case
    from dwca_export.kernel_paths.conditions import Condition
    from dwca_export.kernel_paths.facts.rows import Speed
    from dwca_export.kernel_paths.machine import Family

_WINOGRAD = c.window((3,), (1,))
_DIRECT = "convolution_packed{suffix}"
_GEMM = "convolution_im2col_gemm{suffix}"

_MANY = "3x3 with stride 1 and enough channels"
_LARGE = "enough channels for a matrix product"
_SMALL = "too few channels for a matrix product"
_OWN = "few channels, and the window has its own kernel"


def _row(
    family: Family,
    when: tuple[Condition, ...],
    kernel: str,
    reason: str,
    source: str,
    speed: Speed = "fast",
    remedy: Callable[[Case], str] | None = None,
) -> Kernel:
    return Kernel("Convolution", family, when, kernel, speed, reason, f"{family}/{source}", remedy)


def _direct(family: Family, when: tuple[Condition, ...], packing: str, kernel: str = "conv{k}x{k}s{s}_") -> Kernel:
    """A direct kernel written for one window and packing."""
    return _row(family, when, f"{kernel}{packing}", _OWN, f"convolution_{family}.cpp")


# fmt: off
_UNREAD: tuple[Kernel, ...] = tuple(
    _row(family, (when,), NOT_KNOWN, reason, f"convolution_{family}.cpp", "unknown")
    for family in FAMILIES
    for when, reason in ((c.DYNAMIC_WEIGHT, "weights from a blob"), (c.FLAT, "a vector as input"))
)

_X86: tuple[Kernel, ...] = (
    _row("x86", (c.INT8, _WINOGRAD, c.WINOGRAD, c.either(9, 9)), "conv3x3s1_winograd43_int8", _MANY,
         "convolution_3x3_winograd_int8.h"),
    _row("x86", (c.INT8, c.SGEMM), "convolution_im2col_gemm_int8", "every other window",
         "convolution_im2col_gemm_int8.h"),
    _row("x86", (c.INT8,), "convolution_packed_int8", "mask 32", "convolution_packed_int8.h", "generic"),
    _row("x86", (_WINOGRAD, c.WINOGRAD, c.either(9, 9), c.SHAPE_HINTS), "conv3x3s1_winograd23, 43 or 63{suffix}",
         "by the shape hints", "convolution_x86.cpp"),
    _row("x86", (_WINOGRAD, c.WINOGRAD, c.either(9, 9), c.neither_above(32)), "conv3x3s1_winograd63{suffix}", _MANY,
         "convolution_x86.cpp"),
    _row("x86", (_WINOGRAD, c.WINOGRAD, c.either(9, 9)), "conv3x3s1_winograd43{suffix}", _MANY, "convolution_x86.cpp"),
    _row("x86", (c.POINTWISE,), _GEMM, "1x1 is a matrix product", "convolution_x86.cpp"),
    _row("x86", (c.SGEMM, c.BF16, c.worth_a_gemm(4)), _GEMM, _LARGE, "convolution_x86.cpp"),
    _row("x86", (c.SGEMM, c.FP32, c.worth_a_gemm(8)), _GEMM, _LARGE, "convolution_x86.cpp"),
    _row("x86", (c.BF16,), _DIRECT, _SMALL, "convolution_packed_bf16s.h"),
    _direct("x86", (c.packs(16, 1), c.window((3,), (1,))), "pack16to1_avx512"),
    _direct("x86", (c.packs(8, 8), c.window((2, 3), (1,))), "pack8_avx"),
    _direct("x86", (c.packs(1, 8), c.window((3,), (1, 2))), "pack1to8_avx"),
    _direct("x86", (c.packs(8, 1), c.window((3,), (1,))), "pack8to1_avx"),
    _direct("x86", (c.packs(1, 4), c.window((3,), (1, 2))), "pack1to4_sse"),
    _row("x86", (), _DIRECT, _SMALL, "convolution_packed.h"),
)

_ARM_INT8: tuple[Kernel, ...] = (
    _row("arm", (c.INT8, _WINOGRAD, c.WINOGRAD, c.both(8)), "conv3x3s1_winograd43_int8, or "
         "convolution_im2col_gemm_int8 with asimddp", _MANY, "convolution_arm.cpp"),
    _row("arm", (c.INT8, c.SGEMM), "convolution_im2col_gemm_int8", "every other window", "convolution_arm.cpp"),
    _row("arm", (c.INT8,), "convolution_packed_int8", "mask 32", "convolution_packed_int8.h", "generic"),
)

_ARM_FP16: tuple[Kernel, ...] = (
    _row("arm", (c.FP16,), "convolution_packed_fp16s",
         "fp16 storage without arithmetic has neither Winograd nor matrix products, not even for 1x1",
         "convolution_arm_asimdhp.cpp", "generic", remedies.half_arithmetic),
    _row("arm", (c.HALF, _WINOGRAD, c.WINOGRAD, c.either(16, 16), c.neither_above(128)), "conv3x3s1_winograd63_fp16sa",
         _MANY, "convolution_3x3_winograd_fp16s.h"),
    _row("arm", (c.HALF, _WINOGRAD, c.WINOGRAD, c.both(16)), "conv3x3s1_winograd43_fp16sa", _MANY,
         "convolution_3x3_winograd_fp16s.h"),
    _row("arm", (c.HALF, _WINOGRAD, c.WINOGRAD, c.either(16, 16)), "conv3x3s1_winograd23_fp16sa", _MANY,
         "convolution_3x3_winograd_fp16s.h"),
    _direct("arm", (c.HALF, c.packs(8, 8), c.window((3, 5), (1,))), "pack8_fp16sa_neon"),
    _direct("arm", (c.HALF, c.packs(8, 8), c.window((3,), (2,)), c.fewer(64, 128)), "pack8_fp16sa_neon"),
    _direct("arm", (c.HALF, c.packs(8, 8), c.window((5,), (2,)), c.fewer(16, 88)), "pack8_fp16sa_neon"),
    _direct("arm", (c.HALF, c.packs(1, 8), c.window((3,), (1, 2))), "pack1to8_fp16sa_neon"),
    _direct("arm", (c.HALF, c.packs(1, 8), c.window((7,), (2,))), "pack1to8_fp16sa_neon"),
    _direct("arm", (c.HALF, c.packs(4, 4), c.window((3,), (1,))), "pack4_fp16sa_neon"),
    _direct("arm", (c.HALF, c.packs(1, 4), c.window((3,), (1, 2))), "pack1to4_fp16sa_neon"),
    _direct("arm", (c.HALF, c.packs(1, 4), c.window((7,), (2,))), "", _DIRECT),
    _row("arm", (c.HALF, c.POINTWISE), _GEMM, "1x1 is a matrix product", "convolution_im2col_gemm_fp16s.h"),
    _row("arm", (c.HALF, c.SGEMM, c.worth_a_gemm(4)), _GEMM, _LARGE, "convolution_im2col_gemm_fp16s.h"),
    _direct("arm", (c.HALF, c.packs(8, 8), c.window((3, 5), (2,))), "pack8_fp16sa_neon"),
    _row("arm", (c.HALF,), _DIRECT, _SMALL, "convolution_arm_asimdhp.cpp"),
)

# In fp32 and bf16 alike.
_ARM: tuple[Kernel, ...] = (
    _row("arm", (_WINOGRAD, c.WINOGRAD, c.either(8, 8), c.neither_above(128)), "conv3x3s1_winograd63{suffix}", _MANY,
         "convolution_arm.cpp"),
    _row("arm", (_WINOGRAD, c.WINOGRAD, c.both(8)), "conv3x3s1_winograd43{suffix}", _MANY, "convolution_arm.cpp"),
    _row("arm", (_WINOGRAD, c.WINOGRAD, c.either(8, 8)), "conv3x3s1_winograd23{suffix}", _MANY, "convolution_arm.cpp"),
    _direct("arm", (c.packs(4, 4), c.window((3,), (2,)), c.fewer(4, 32)), "pack4{suffix}_neon"),
    _direct("arm", (c.packs(4, 4), c.window((5,), (1,))), "pack4{suffix}_neon"),
    _direct("arm", (c.packs(4, 4), c.window((5,), (2,)), c.fewer(8, 44)), "pack4{suffix}_neon"),
    _direct("arm", (c.packs(1, 4), c.window((3,), (1, 2))), "pack1to4{suffix}_neon"),
    _direct("arm", (c.packs(1, 4), c.window((7,), (2,))), "pack1to4{suffix}_neon"),
    _row("arm", (c.POINTWISE,), _GEMM, "1x1 is a matrix product", "convolution_arm.cpp"),
    _row("arm", (c.SGEMM, c.BF16, c.worth_a_gemm(4)), _GEMM, _LARGE, "convolution_arm.cpp"),
    _row("arm", (c.SGEMM, c.FP32, c.worth_a_gemm(8)), _GEMM, _LARGE, "convolution_arm.cpp"),
    _direct("arm", (c.packs(4, 4), c.window((3, 5), (2,))), "pack4{suffix}_neon"),
    _row("arm", (c.BF16,), _DIRECT, _SMALL, "convolution_packed_bf16s.h"),
    _direct("arm", (c.packs(1, 1), c.window((3,), (2,))), "packed_neon"),
    _direct("arm", (c.packs(1, 1), c.window((4,), (4,))), "neon"),
    _direct("arm", (c.packs(1, 1), c.window((5, 7), (1, 2))), "neon"),
    _row("arm", (), _DIRECT, _SMALL, "convolution_packed.h"),
)
# fmt: on

KERNELS = (*_UNREAD, *_X86, *_ARM_INT8, *_ARM_FP16, *_ARM)
