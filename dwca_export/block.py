"""The DWCA block: depthwise convolution and coordinate attention, under its published attribute names."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from dwca_export.errors import UsageError

Residual = Literal["auto"] | bool

_WHERE = "DWCABlock"


class DWCABlock(nn.Module):
    """Depthwise-separable convolution, weighted along both image axes by coordinate attention.

    The attribute names are the published ones, so that published state dicts load strictly. Coordinate attention is
    that of Hou et al., "Coordinate Attention for Efficient Mobile Network Design" (CVPR 2021), with GroupNorm, whose
    statistics run over the H strip and the W strip together, in the place of BatchNorm.

    Shapes:
        input `(N, c1, H, W)`, output `(N, c2, ceil(H / stride), ceil(W / stride))`, both floating point.

    Args:
        c1: Input channels.
        c2: Output channels.
        kernel_size: Side of the depthwise kernel; odd, so that a padding of half of it keeps the size.
        stride: Stride of the depthwise convolution, along both axes.
        reduction: The attention works on `max(8, c2 // reduction)` channels.
        groups: Groups of the GroupNorm; divides the reduced channels.
        residual: Whether the input is added to the output. "auto": wherever it can be, which is at stride 1 with
            `c1 == c2`.

    Raises:
        UsageError: An argument is out of range, `groups` does not divide the reduced channels, or a residual is
            forced where the shapes of input and output differ.
    """

    def __init__(
        self,
        c1: int,
        c2: int,
        kernel_size: int = 5,
        stride: int = 1,
        reduction: int = 16,
        groups: int = 4,
        residual: Residual = "auto",
    ) -> None:
        super().__init__()
        _require_positive(c1=c1, c2=c2, kernel_size=kernel_size, stride=stride, reduction=reduction, groups=groups)
        _require_odd(kernel_size)
        mid = max(8, c2 // reduction)
        _require_divides(groups, mid)
        self.dw_conv = nn.Conv2d(c1, c1, kernel_size, stride, kernel_size // 2, groups=c1, bias=False)
        self.pw_conv = nn.Conv2d(c1, c2, 1, bias=False)
        self.bn = nn.BatchNorm2d(c2)
        self.act = nn.Hardswish()
        self.pool_h = nn.AdaptiveAvgPool2d((None, 1))
        self.pool_w = nn.AdaptiveAvgPool2d((1, None))
        self.conv_pool = nn.Conv2d(c2, mid, 1)
        self.gn = nn.GroupNorm(groups, mid)
        self.conv_h = nn.Conv2d(mid, c2, 1)
        self.conv_w = nn.Conv2d(mid, c2, 1)
        self.use_res = resolve_residual(residual, c1, c2, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block.

        Args:
            x: `(N, c1, H, W)`, floating point.

        Returns:
            `(N, c2, ceil(H / stride), ceil(W / stride))`, of the dtype of `x`.
        """
        features: Tensor = self.act(self.bn(self.pw_conv(self.dw_conv(x))))
        attended = self._attend(features)
        return x + attended if self.use_res else attended

    def _attend(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        strip_h = self.pool_h(features)
        strip_w = self.pool_w(features).transpose(2, 3)
        joined = self.act(self.gn(self.conv_pool(torch.cat([strip_h, strip_w], dim=2))))
        a_h, a_w = torch.split(joined, [height, width], dim=2)
        weight_h = torch.sigmoid(self.conv_h(a_h))
        weight_w = torch.sigmoid(self.conv_w(a_w.transpose(2, 3)))
        return features * weight_w * weight_h


def resolve_residual(residual: Residual, c1: int, c2: int, stride: int, *, where: str = _WHERE) -> bool:
    """Decide whether a block adds its input to its output.

    Args:
        residual: "auto", True or False.
        c1: Input channels.
        c2: Output channels.
        stride: Stride of the block.
        where: Name of the block, for the error.

    Returns:
        Whether the residual is there; "auto" is True exactly where it is possible.

    Raises:
        UsageError: It is forced where input and output differ in shape, or `residual` is none of the three.
    """
    if residual not in ("auto", True, False):
        raise UsageError(f"residual={residual!r} is not known", where=where, hint='residual is "auto", True or False')
    possible = stride == 1 and c1 == c2
    if residual == "auto":
        return possible
    if residual and not possible:
        raise UsageError(
            f"a residual is impossible at stride={stride}, c1={c1}, c2={c2}: it needs stride 1 and c1 == c2",
            where=where,
            hint='use residual="auto", which adds the residual wherever it is possible',
        )
    return bool(residual)


def _require_positive(**arguments: int) -> None:
    for name, value in arguments.items():
        if value < 1:
            raise UsageError(f"{name}={value} is not positive", where=_WHERE, hint=f"{name} is at least 1")


def _require_odd(kernel_size: int) -> None:
    if kernel_size % 2 == 0:
        raise UsageError(
            f"kernel_size={kernel_size} is even: a padding of {kernel_size // 2} would change the image size",
            where=_WHERE,
            hint=f"use an odd kernel size, such as {kernel_size - 1} or {kernel_size + 1}",
        )


def _require_divides(groups: int, mid: int) -> None:
    if mid % groups:
        choices = ", ".join(str(n) for n in range(1, mid + 1) if mid % n == 0)
        raise UsageError(
            f"groups={groups} does not divide the {mid} reduced channels",
            where=_WHERE,
            hint=f"groups can be {choices}; or make c2 // reduction a multiple of {groups}",
        )
