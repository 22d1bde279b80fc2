"""Torch networks with the patterns that the hops have to recognise, and what the hops make of them."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812  as everybody calls it
from torch import nn

from dwca_export.artifacts import LoadedModel
from dwca_export.block import DWCABlock
from dwca_export.prepare import prepare
from dwca_export.simplify import onnxsim_child, rewrite, simplify
from dwca_export.to_onnx import to_onnx


class Function(nn.Module):
    """`forward` is any function of the module and its input."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def conv(c1, c2, kernel=1, **arguments):
    return nn.Conv2d(c1, c2, kernel, padding=kernel // 2, **arguments)


class HSigmoid(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU6(inplace=True)

    def forward(self, x):
        return self.relu(x + 3) / 6


class HSwish(nn.Module):
    def __init__(self):
        super().__init__()
        self.sigmoid = HSigmoid()

    def forward(self, x):
        return x * self.sigmoid(x)


class CoordAttention(nn.Module):
    """Coordinate attention as in the paper of Hou et al. (CVPR 2021), section 3.2: with BatchNorm and h-swish."""

    def __init__(self, channels, reduction=8, act=HSwish):
        super().__init__()
        mid = max(8, channels // reduction)
        self.pool_h = nn.AdaptiveAvgPool2d((None, 1))
        self.pool_w = nn.AdaptiveAvgPool2d((1, None))
        self.conv1 = conv(channels, mid)
        self.bn1 = nn.BatchNorm2d(mid)
        self.act = act()
        self.conv_h = conv(mid, channels)
        self.conv_w = conv(mid, channels)

    def forward(self, x):
        height, width = x.shape[2:]
        strips = torch.cat([self.pool_h(x), self.pool_w(x).permute(0, 1, 3, 2)], dim=2)
        y_h, y_w = torch.split(self.act(self.bn1(self.conv1(strips))), [height, width], dim=2)
        gate_h, gate_w = self.conv_h(y_h).sigmoid(), self.conv_w(y_w.permute(0, 1, 3, 2)).sigmoid()
        return x * gate_w * gate_h


class InlineAttention(nn.Module):
    """The same idea in the middle of somebody's forward, with means and slices."""

    def __init__(self):
        super().__init__()
        self.stem, self.reduce = conv(3, 16, 3), conv(16, 4)
        self.gate_h, self.gate_w, self.head = conv(4, 16), conv(4, 16), conv(16, 4)

    def forward(self, x):
        x = F.relu(self.stem(x))
        height = x.shape[2]
        y = torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], 2)
        y = F.hardswish(self.reduce(y))
        y_h, y_w = y[:, :, :height], y[:, :, height:]
        return self.head(x * (torch.sigmoid(self.gate_h(y_h)) * torch.sigmoid(self.gate_w(y_w.transpose(2, 3)))))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = conv(channels, 4), conv(4, channels)

    def forward(self, x):
        return x * torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class SpatialAttention(nn.Module):
    """The spatial half of CBAM, with a mean in place of its maximum: two maps of one value meet in a Concat."""

    def __init__(self, channels):
        super().__init__()
        self.conv = conv(2, 1, 7)
        self.mix = conv(channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.conv(torch.cat([x.mean(1, keepdim=True), self.mix(x)], 1)))


def _strips_of_two(self, x):
    """Strips of different values: no coordinate attention."""
    a, b = self.a(x), self.b(x)
    y = self.reduce(torch.cat([a.mean(3, keepdim=True), b.mean(2, keepdim=True).transpose(2, 3)], 2))
    y_h, y_w = torch.split(y, list(x.shape[2:]), 2)
    return a * torch.sigmoid(self.gate(y_h)) * torch.sigmoid(self.gate(y_w.transpose(2, 3)))


def _no_gate(self, x):
    """Strips of one value that do not come back to it."""
    a = self.a(x)
    return self.reduce(torch.cat([a.mean(3, keepdim=True), a.mean(2, keepdim=True).transpose(2, 3)], 2))


def _composite(activation):
    """The activation written out between two convolutions."""
    return Function(
        lambda self, x: self.d(activation(self.bn(self.c(x)))), c=conv(3, 8, 3), bn=nn.BatchNorm2d(8), d=conv(8, 4)
    )


def _residuals(self, x):
    return F.relu(self.bn(self.c(x))) + x + F.relu(self.d(x) + x)


class Branches(nn.Module):
    """Several networks on one image: one export for all."""

    def __init__(self, **branches):
        super().__init__()
        for name, branch in branches.items():
            setattr(self, name, branch)

    def forward(self, x):
        return {name: branch(x) for name, branch in self.named_children()}


def dwca():
    return nn.Sequential(
        conv(3, 16),
        DWCABlock(16, 32, kernel_size=5, stride=2, groups=2),
        DWCABlock(32, 32, kernel_size=3, reduction=2, groups=8, residual=True),
        DWCABlock(32, 32, residual=False),
    )


def attentions():
    return Branches(
        paper=nn.Sequential(conv(3, 32, 3), nn.ReLU(), CoordAttention(32), conv(32, 8)),
        inline=InlineAttention(),
        behind_a_sum=Function(
            # The GroupNorm behind it is none of its own.
            lambda self, x: self.gn(self.ca(F.relu(self.pw(self.dw(x))) + self.c(x))),
            ca=CoordAttention(16, act=nn.Hardswish),
            gn=nn.GroupNorm(4, 16),
            c=conv(3, 16),
            dw=conv(3, 3, 3, groups=3),
            pw=conv(3, 16),
        ),
    )


def look_alikes():
    return Branches(
        squeeze_excite=nn.Sequential(conv(3, 8, 3), nn.ReLU(), SqueezeExcite(8), conv(8, 4)),
        spatial=nn.Sequential(conv(3, 8, 3), SpatialAttention(8), conv(8, 4)),
        strips_of_two=Function(_strips_of_two, a=conv(3, 8), b=conv(3, 8), reduce=conv(8, 8), gate=conv(8, 8)),
        no_gate=Function(_no_gate, a=conv(3, 8), reduce=conv(8, 8)),
    )


def activations():
    return Branches(
        relu6=nn.Sequential(conv(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), conv(8, 8, 3, groups=8), nn.ReLU6()),
        h_swish=_composite(lambda y: y * F.relu6(y + 3) / 6),
        silu=_composite(lambda y: y * torch.sigmoid(y)),
        gelu=_composite(lambda y: y * 0.5 * (1 + torch.erf(y / 2**0.5))),
        mish=_composite(lambda y: y * torch.tanh(F.softplus(y))),
        residuals=Function(_residuals, c=conv(3, 3, 3), bn=nn.BatchNorm2d(3), d=conv(3, 3)),
    )


def tokens():
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 5))


NETS = {
    "dwca": (dwca, (1, 3, 20, 12)),
    "attentions": (attentions, (1, 3, 12, 10)),
    "look-alikes": (look_alikes, (1, 3, 12, 10)),
    "activations": (activations, (1, 3, 12, 10)),
    "tokens": (tokens, (1, 7, 6)),
}


def loaded(module, kind="module"):
    return LoadedModel(module, kind, "0" * 64)


def with_statistics(module):
    """Norms that differ from the identity, as training leaves them."""
    for part in module.modules():
        if "Norm" in type(part).__name__:
            for tensor in [*part.parameters(), *part.buffers()]:
                if tensor.is_floating_point():
                    nn.init.uniform_(tensor, 0.5, 2.0)
    return module.eval()


@cache
def simplified(name):
    torch.manual_seed(0)
    factory, shape = NETS[name]
    with onnxsim_child() as child:
        child.start()
        return simplify(to_onnx(prepare(loaded(with_statistics(factory())), (shape,))), child)


@cache
def rewritten(name):
    return rewrite(simplified(name))[0]
