"""Variants of the DWCA block, each of which takes one of its parts away, and networks built from them.

The networks are `models.nets.classifier` and `models.nets.detector` with another block, under the same parameter names.
`initialise` gives every parameter that two variants share the same first value.

All arguments are plain numbers and strings: `--arch models/controls.py:classifier --arch-args '{"variant": "se5x5"}'`.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dwca_export.block import DWCABlock, resolve_residual
from dwca_export.errors import UsageError
from models import nets

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHERE = "models/controls.py"


class PlainBlock(nn.Module):
    """`DWCABlock` without its attention.

    Shapes:
        input `(N, c1, H, W)`, output `(N, c2, ceil(H / stride), ceil(W / stride))`, both floating point.

    Args:
        c1: Input channels.
        c2: Output channels.
        stride: Stride of the depthwise convolution, along both axes.
        kernel_size: Side of the depthwise kernel, odd.
    """

    def __init__(self, c1: int, c2: int, stride: int = 1, kernel_size: int = 5) -> None:
        super().__init__()
        self.dw_conv = nn.Conv2d(c1, c1, kernel_size, stride, kernel_size // 2, groups=c1, bias=False)
        self.pw_conv = nn.Conv2d(c1, c2, 1, bias=False)
        self.bn = nn.BatchNorm2d(c2)
        self.act = nn.Hardswish()
        self.use_res = resolve_residual("auto", c1, c2, stride, where="PlainBlock")

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block.

        Args:
            x: `(N, c1, H, W)`, floating point.

        Returns:
            `(N, c2, ceil(H / stride), ceil(W / stride))`, of the dtype of `x`.
        """
        features: Tensor = self.act(self.bn(self.pw_conv(self.dw_conv(x))))
        weighted = self._weigh(features)
        return x + weighted if self.use_res else weighted

    def _weigh(self, features: Tensor) -> Tensor:
        return features


class SqueezeExcitationBlock(PlainBlock):
    """`DWCABlock` with squeeze-and-excitation (Hu et al., CVPR 2018) in the place of coordinate attention.

    The attention reduces to as many channels as the coordinate attention does, by the same activation; it sees the mean
    of the whole image where that one sees the means of rows and columns.
    """

    def __init__(self, c1: int, c2: int, stride: int = 1, kernel_size: int = 5, reduction: int = 16) -> None:
        super().__init__(c1, c2, stride, kernel_size)
        mid = max(8, c2 // reduction)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(c2, mid, 1)
        self.expand = nn.Conv2d(mid, c2, 1)

    def _weigh(self, features: Tensor) -> Tensor:
        return features * torch.sigmoid(self.expand(self.act(self.reduce(self.pool(features)))))


def _with_batch_norm(c1: int, c2: int, stride: int) -> nn.Module:
    block = DWCABlock(c1, c2, stride=stride)
    # Under the same name, so that every other parameter keeps its own.
    block.gn = nn.BatchNorm2d(block.gn.num_channels)  # type: ignore[assignment]
    return block


BLOCKS: Mapping[str, nets.BlockFactory] = {
    "baseline": nets.BLOCKS["baseline"],
    "plain5x5": PlainBlock,
    "attention3x3": lambda c1, c2, stride: DWCABlock(c1, c2, kernel_size=3, stride=stride),
    "dwca": nets.BLOCKS["dwca"],
    "dwca_batchnorm": _with_batch_norm,
    "se5x5": SqueezeExcitationBlock,
    "dwca_no_residual": lambda c1, c2, stride: DWCABlock(c1, c2, stride=stride, residual=False),
}
"""What each variant is built from, by name; `models/README.md` says what each of them shows."""


def classifier(variant: str = "dwca", **arguments: Any) -> nets.Classifier:
    """Build a classifier from another block.

    Args:
        variant: A name of `BLOCKS`.
        arguments: Those of `models.nets.classifier`, except `block`.

    Returns:
        The network, in training mode.

    Raises:
        UsageError: An argument is out of its range.
    """
    return nets.classifier(**arguments, block=_block(variant))


def detector(variant: str = "dwca", **arguments: Any) -> nets.Detector:
    """Build a detector from another block.

    Args:
        variant: A name of `BLOCKS`.
        arguments: Those of `models.nets.detector`, except `block`.

    Returns:
        The network, in training mode.

    Raises:
        UsageError: An argument is out of its range.
    """
    return nets.detector(**arguments, block=_block(variant))


def initialise(network: nn.Module, seed: int) -> None:
    """Set every parameter to its first value, which depends on the seed, its name and its shape alone.

    The distributions are PyTorch's defaults: uniform within `1 / sqrt(fan-in)` for the weights and biases of
    convolutions and linear layers, ones and zeros for normalisations, whose running statistics start anew.

    Args:
        network: Any network of convolutions, linear layers and normalisations; changed in place.
        seed: Seed of the run.

    Raises:
        UsageError: A layer with parameters is of another kind.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for kind, parameter in module.named_parameters(recurse=False):
                _fill(parameter, bound, _generator(seed, f"{name}.{kind}"))
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            module.reset_parameters()
        elif any(True for _ in module.parameters(recurse=False)):
            raise UsageError(
                f"layer {name} is a {type(module).__name__}, whose first values are not defined",
                where=_WHERE,
                hint="initialise knows convolutions, linear layers and normalisations",
            )


def _block(variant: str) -> nets.BlockFactory:
    if variant not in BLOCKS:
        raise UsageError(f"variant={variant!r} cannot be", where=_WHERE, hint=f"variant is one of {', '.join(BLOCKS)}")
    return BLOCKS[variant]


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@torch.no_grad()
def _fill(parameter: Tensor, bound: float, generator: torch.Generator) -> None:
    # On the CPU and in rows whatever the parameter's own place and layout are: the values must not depend on them.
    values = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
    parameter.copy_(values)
