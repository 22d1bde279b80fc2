"""Pooling and Reduction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.kernel_paths import conditions as c
from dwca_export.kernel_paths import remedies
from dwca_export.kernel_paths.facts.rows import Kernel

if TYPE_CHECKING:
    from dwca_export.kernel_paths.case import Case

_FIXED_SIZE = remedies.say(remedies.FIXED_SIZE)
_MORE = remedies.channels(4)

_TWO = c.test("maximum 2x2 stride 2", lambda case: _is_maximum(case, (2,)))
_TWO_OR_THREE = c.test("maximum 2x2 or 3x3 stride 2", lambda case: _is_maximum(case, (2, 3)))

_NOTHING_PACKED = "adaptive pooling takes nothing packed"
_PLAIN = "Pooling::forward, scalar"
_X86, _ARM = "x86/pooling_x86.cpp", "arm/pooling_arm.cpp"
_HALF = "arm/pooling_arm_asimdhp.cpp"


def _is_maximum(case: Case, kernels: tuple[int, ...]) -> bool:
    layer = case.layer
    is_square = len(set(case.kernel)) == 1 and case.stride == (2, 2)
    return layer.int(0, 0) == 0 and layer.int(4, 0) == 0 and is_square and case.kernel[0] in kernels


# fmt: off
KERNELS: tuple[Kernel, ...] = (
    Kernel("Pooling", "x86", (c.ADAPTIVE,), _PLAIN, "scalar", _NOTHING_PACKED, _X86, _FIXED_SIZE),
    Kernel("Pooling", "arm", (c.ADAPTIVE,), _PLAIN, "scalar", _NOTHING_PACKED, _ARM, _FIXED_SIZE),
    # x86.
    Kernel("Pooling", "x86", (c.FP32, c.PACKED, _TWO_OR_THREE), "pooling{k}x{k}s2_max_pack{p}_{simd}", "fast",
           "packed, own kernel", _X86, in_lanes=True),
    Kernel("Pooling", "x86", (c.PACKED,), "loop over the window, pack{p}{store}", "fast", "packed", _X86,
           in_lanes=True),
    Kernel("Pooling", "x86", (c.BF16,), "scalar loop over the window{store}", "scalar", "unpacked",
           "x86/pooling_bf16s.h", _MORE),
    Kernel("Pooling", "x86", (_TWO,), "pooling2x2s2_max_avx", "fast", "unpacked, own kernel", _X86),
    Kernel("Pooling", "x86", (), _PLAIN, "scalar", "unpacked", _X86, _MORE),
    # ARM.
    Kernel("Pooling", "arm", (c.HALF, c.PACKED), "loop over the window, pack{p}, sums in fp16", "fast", "packed", _HALF,
           in_lanes=True),
    Kernel("Pooling", "arm", (c.FP16, c.PACKED), "loop over the window, pack{p}, sums in fp32", "fast", "packed", _HALF,
           in_lanes=True),
    Kernel("Pooling", "arm", (c.HALF,), "scalar loop over the window, sums in fp16", "scalar", "unpacked", _HALF,
           _MORE),
    Kernel("Pooling", "arm", (c.FP16,), "scalar loop over the window, fp16", "scalar", "unpacked", _HALF, _MORE),
    Kernel("Pooling", "arm", (c.PACKED, _TWO_OR_THREE), "pooling{k}x{k}s2_max_pack4{suffix}_neon", "fast",
           "packed, own kernel", _ARM, in_lanes=True),
    Kernel("Pooling", "arm", (c.PACKED,), "loop over the window, pack4{store}", "fast", "packed", _ARM, in_lanes=True),
    Kernel("Pooling", "arm", (c.BF16,), "scalar loop over the window{store}", "scalar", "unpacked", _ARM, _MORE),
    Kernel("Pooling", "arm", (_TWO_OR_THREE,), "pooling{k}x{k}s2_max_neon", "fast", "unpacked, own kernel", _ARM),
    Kernel("Pooling", "arm", (), _PLAIN, "scalar", "unpacked", _ARM, _MORE),
    *(Kernel("Reduction", family, (), "Reduction::forward, scalar", "scalar", "exists in plain C++ only",
             "reduction.cpp", _FIXED_SIZE) for family in ("x86", "arm")),
)
# fmt: on
