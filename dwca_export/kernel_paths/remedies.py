"""What can be done about a kernel that is missed, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwca_export.kernel_paths.case import Case

    Remedy = Callable[[Case], str]

FIXED_SIZE = "a fixed-size export instead of --dynamic pools with a fixed kernel, packed"
OTHER_WINDOW = "a 3x3 or 5x5 kernel with stride 1 or 2, not dilated, has its own kernel"
MORE_PRECISION_INT8 = "keep this layer in float: there is no int8 kernel for it"


def say(text: str) -> Remedy:
    """The same words whatever the layer."""
    return lambda _: text


def channels(multiple: int | None = None) -> Remedy:
    """`64 instead of 60 channels`: the next multiple of what the kernel packs; by default the widest of the target."""

    def remedy(case: Case) -> str:
        return more_channels(case.first.shape[0], multiple or case.widest)

    return remedy


def output_channels(multiple: int) -> Remedy:
    """`16 instead of 10 outputs`."""
    return lambda case: more_channels(case.n_out, multiple, "outputs")


def more_channels(n: int, multiple: int, what: str = "channels") -> str:
    """`64 instead of 60 channels`."""
    return f"{-(-n // multiple) * multiple} instead of {n} {what}"


def half_arithmetic(case: Case) -> str:
    """For layers that fp16 storage alone keeps from their kernels; depthwise ones also want packs of 8."""
    text = "fp16 arithmetic instead of storage alone, or fp32"
    n = case.first.shape[0]
    if case.layer.type == "ConvolutionDepthWise" and n % 8:
        return f"fp32, or fp16 arithmetic with {more_channels(n, 8)}"
    return text


def half_depthwise(case: Case) -> str:
    """For depthwise layers in half precision whose channels do not fill packs of 8."""
    n = case.first.shape[0]
    precision = "fp32 or bf16 storage" if n % 4 == 0 else "fp32"
    return f"{more_channels(n, 8)}, or {precision} for this layer"


def wider_groups(case: Case) -> str:
    """For GroupNorm whose groups are narrower than a pack."""
    n_channels, n_groups = case.layer.int(1, 0), case.layer.int(0, 1)
    return f"groups of {case.pack} instead of {n_channels // n_groups} channels"
