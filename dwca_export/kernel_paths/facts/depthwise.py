"""ConvolutionDepthWise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.kernel_paths import conditions as c
from dwca_export.kernel_paths import remedies
from dwca_export.kernel_paths.facts.rows import NOT_KNOWN, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwca_export.kernel_paths.case import Case
    from dwca_export.kernel_paths.conditions import Condition
    from dwca_export.kernel_paths.facts.rows import Speed
    from dwca_export.kernel_paths.machine import Family

_CPP = {"x86": "x86/convolutiondepthwise_x86.cpp", "arm": "arm/convolutiondepthwise_arm.cpp"}
_HEADER = "convolutiondepthwise_{k}x{k}"

_WINDOWS = c.window((3, 5), (1, 2))
_3X3 = c.window((3,), (1, 2))

_OWN = "packed, and the window has its own kernel"
_OWN_UNPACKED = "unpacked, and the window has its own kernel"
_OTHER = "the window has no kernel of its own"
_NO_FP16 = "fp16 storage without arithmetic has no depthwise kernels"
_GROUPS = "one dense Convolution for each group"

# Both found by running ncnn 1.0.20261020: a grid of cases under qemu, and on x86 with AVX-512.
_TWO_ROWS = "of one column, the third tap of the second and third row is taken from the first row"
_GROUPS_IN_BF16 = "the groups are made for bf16 and given fp32: the result is nonsense or NaN"

_SUM_IN_FP32 = remedies.say("31=1 on the layer, as dwca-parity --fix-precision fp16-arithmetic finds")
_OTHER_WINDOW = remedies.say(remedies.OTHER_WINDOW)
_IN_FLOAT = remedies.say(remedies.MORE_PRECISION_INT8)
_NO_GROUPS = remedies.say("a dense or a depthwise convolution; convolutions in groups have no kernel of their own")


def _row(
    family: Family,
    when: tuple[Condition, ...],
    kernel: str,
    speed: Speed,
    reason: str,
    source: str = "",
    remedy: Callable[[Case], str] | None = None,
) -> Kernel:
    where = f"{family}/{source}" if source else _CPP[family]
    return Kernel("ConvolutionDepthWise", family, when, kernel, speed, reason, where, remedy, in_lanes=True)


# fmt: off
KERNELS: tuple[Kernel, ...] = (
    _row("x86", (c.DYNAMIC_WEIGHT,), NOT_KNOWN, "unknown", "weights from a blob"),
    _row("arm", (c.DYNAMIC_WEIGHT,), NOT_KNOWN, "unknown", "weights from a blob"),
    _row("x86", (~c.DEPTHWISE,), _GROUPS, "generic", "groups of several channels", "", _NO_GROUPS),
    _row("arm", (~c.DEPTHWISE,), _GROUPS, "generic", "groups of several channels", "", _NO_GROUPS),
    # x86 in 8 bits: nothing packed has a kernel, not even 3x3.
    _row("x86", (c.INT8, c.channels_in(8)), "int8 loop over the window, pack8", "generic",
         "x86 has int8 depthwise kernels for unpacked 3x3 only", "", _IN_FLOAT),
    _row("x86", (c.INT8, _3X3, c.ACTIVATION_FITS), "convdw3x3s{s}_int8_dequant_sse", "fast", _OWN_UNPACKED,
         "convolutiondepthwise_3x3_int8.h"),
    _row("x86", (c.INT8,), "int8 scalar loop over the window", "scalar", _OTHER, "", _IN_FLOAT),
    # x86 in float: the layer takes neither fp16 nor bf16 blobs, so it works in 32 bits in every mode.
    _row("x86", (c.PACKED, _WINDOWS), "convdw{k}x{k}s{s}_pack{p}_{simd}", "fast", _OWN, _HEADER + "_pack{p}.h"),
    _row("x86", (c.PACKED,), "loop over the window, pack{p}", "generic", _OTHER, "", _OTHER_WINDOW),
    _row("x86", (_3X3,), "convdw3x3s{s}_sse", "fast", _OWN_UNPACKED, _HEADER + ".h"),
    _row("x86", (c.BF16_ON,), _GROUPS + ", one channel wide, in bf16", "wrong", _GROUPS_IN_BF16, "",
         remedies.channels(4)),
    _row("x86", (), _GROUPS + ", one channel wide", "scalar", "unpacked, and no 3x3", "", remedies.channels(4)),
    # ARM in 8 bits.
    _row("arm", (c.INT8, c.channels_in(8), _3X3, c.ACTIVATION_FITS), "convdw3x3s{s}_pack8_int8_neon", "fast", _OWN,
         "convolutiondepthwise_3x3_pack8_int8.h"),
    _row("arm", (c.INT8, c.channels_in(8)), "int8 loop over the window, pack8", "generic",
         "int8 depthwise kernels are for 3x3 alone, without activation or with ReLU", "", _IN_FLOAT),
    _row("arm", (c.INT8, _3X3, c.ACTIVATION_FITS), "convdw3x3s{s}_int8_neon", "fast", _OWN_UNPACKED,
         "convolutiondepthwise_3x3_int8.h"),
    _row("arm", (c.INT8,), "int8 scalar loop over the window", "scalar", _OTHER, "", _IN_FLOAT),
    # ARM with fp16 storage alone.
    _row("arm", (c.FP16, c.PACKED), "loop over the window, pack4, fp16 widened to fp32", "generic", _NO_FP16,
         "convolutiondepthwise_arm_asimdhp.cpp", remedies.half_arithmetic),
    _row("arm", (c.FP16,), "scalar loop over the window, fp16 widened to fp32", "scalar", _NO_FP16,
         "convolutiondepthwise_arm_asimdhp.cpp", remedies.half_arithmetic),
    # ARM with fp16 arithmetic.
    _row("arm", (c.HALF, c.pack(8), c.window((3,), (2,)), c.output_width(4, 2, 3)),
         "convdw{k}x{k}s{s}_pack8_fp16sa_neon", "wrong", _TWO_ROWS, _HEADER + "_pack8_fp16s.h", _SUM_IN_FP32),
    _row("arm", (c.HALF, c.pack(8), _WINDOWS), "convdw{k}x{k}s{s}_pack8_fp16sa_neon", "fast", _OWN,
         _HEADER + "_pack8_fp16s.h"),
    _row("arm", (c.HALF, c.pack(8)), "loop over the window, pack8, fp16", "generic", _OTHER,
         "convolutiondepthwise_arm_asimdhp.cpp", _OTHER_WINDOW),
    _row("arm", (c.HALF, c.pack(4)), "loop over the window, pack4, fp16", "generic",
         "kernels in fp16 arithmetic want C % 8 == 0", "convolutiondepthwise_arm_asimdhp.cpp", remedies.half_depthwise),
    _row("arm", (c.HALF, _3X3), "convdw3x3s{s}_fp16sa_neon", "fast", _OWN_UNPACKED,
         "convolutiondepthwise_3x3_fp16s.h"),
    _row("arm", (c.HALF,), "scalar loop over the window, fp16", "scalar", "unpacked, and no 3x3",
         "convolutiondepthwise_arm_asimdhp.cpp", remedies.half_depthwise),
    # ARM with bf16 storage.
    _row("arm", (c.BF16, c.PACKED, _WINDOWS), "convdw{k}x{k}s{s}_pack4_bf16s_neon", "fast", _OWN,
         _HEADER + "_pack4_bf16s.h"),
    _row("arm", (c.BF16, c.PACKED), "loop over the window, pack4, bf16", "generic", _OTHER, "", _OTHER_WINDOW),
    _row("arm", (c.BF16,), "scalar loop over the window, bf16", "scalar", "bf16 has no unpacked depthwise kernels", "",
         remedies.channels(4)),
    # ARM in 32 bits.
    _row("arm", (c.PACKED, _WINDOWS), "convdw{k}x{k}s{s}_pack4_neon", "fast", _OWN, _HEADER + "_pack4.h"),
    _row("arm", (c.PACKED,), "loop over the window, pack4", "generic", _OTHER, "", _OTHER_WINDOW),
    _row("arm", (_WINDOWS,), "convdw{k}x{k}s{s}_neon", "fast", _OWN_UNPACKED, _HEADER + ".h"),
    _row("arm", (), _GROUPS + ", one channel wide", "scalar", "unpacked, and neither 3x3 nor 5x5", "",
         remedies.channels(4)),
)
# fmt: on
