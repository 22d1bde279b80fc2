"""Small networks, converted by the real pnnx, whose files the tests of the readers share."""

from __future__ import annotations

import site
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Converted:
    """A network and what pnnx made of it."""

    module: nn.Module
    param: str
    fp32: bytes
    fp16: bytes


class Convolutions(nn.Module):
    """Every kind of convolution; odd channel counts, so that fp16 needs padding."""

    def __init__(self, n_dims: int) -> None:
        super().__init__()
        conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[n_dims - 1]
        deconv = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[n_dims - 1]
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[n_dims - 1]
        kernel = (3, 1, 2)[:n_dims]
        self.dense = conv(3, 7, kernel)
        self.depthwise = conv(7, 7, 3, padding=1, groups=7, bias=False)
        self.norm = norm(7)
        self.slope = nn.PReLU(7)
        self.grouped = conv(7, 14, 1, groups=7)
        self.transposed = deconv(14, 5, kernel)
        self.transposed_grouped = deconv(5, 10, 3, groups=5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.slope(self.norm(torch.abs(self.depthwise(self.dense(x)))))
        return self.transposed_grouped(self.transposed(self.grouped(x)))


class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.group = nn.GroupNorm(2, 6)
        self.instance = nn.InstanceNorm2d(6, affine=True)
        self.bare_instance = nn.InstanceNorm2d(6)
        self.layer = nn.LayerNorm(9)
        self.rms = nn.RMSNorm(9)
        self.bare_layer = nn.LayerNorm(9, elementwise_affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.bare_layer(self.rms(self.layer(self.bare_instance(self.instance(self.group(x))))))


class Products(nn.Module):
    """On one row pnnx writes InnerProduct, on several Gemm with constants."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 5)
        self.second = nn.Linear(5, 7, bias=False)
        self.register_buffer("matrix", torch.randn(7, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(functional.relu(self.first(x))) @ self.matrix


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 5)
        self.lstm = nn.LSTM(5, 6, batch_first=True, bidirectional=True)
        self.projected = nn.LSTM(12, 7, proj_size=3, batch_first=True)
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.rnn = nn.RNN(5, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for cell in (self.lstm, self.projected, self.gru, self.rnn):
            x = cell(x)[0]
        return x


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.biased = nn.MultiheadAttention(6, 2, batch_first=True)
        self.unbiased = nn.MultiheadAttention(6, 3, batch_first=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.biased(x, x, x, need_weights=False)[0]
        return self.unbiased(x, x, x, need_weights=False)[0]


class Constants(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.randn(1, 3, 1, 1))
        self.register_buffer("term", torch.randn(1, 3, 4, 5))
        self.register_buffer("mask", torch.arange(20).reshape(1, 1, 4, 5) % 3 == 0)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.factor + self.term).clamp(-0.3, 1e-5) * 0.1234567 + x * x * self.mask


class SingleChannel(nn.Module):
    """Zero biases of one channel look like the tag of float32."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, 1)
        self.group = nn.GroupNorm(1, 1)
        self.slope = nn.PReLU(2)
        self.last = nn.Conv2d(1, 2, 3)
        nn.init.zeros_(self.first.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.slope(self.last(self.group(torch.abs(self.first(x)))))


class StripAttention(nn.Module):
    """The gate of a DWCA block: Slice, Split, expressions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.squeeze = nn.Conv2d(8, 8, 1)
        self.group = nn.GroupNorm(4, 8)
        self.across = nn.Conv2d(8, 8, 1)
        self.down = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        f = functional.hardswish(self.stem(x))
        h, w = f.shape[2:]
        strips = [
            functional.adaptive_avg_pool2d(f, (None, 1)),
            functional.adaptive_avg_pool2d(f, (1, None)).transpose(2, 3),
        ]
        y = functional.hardswish(self.group(self.squeeze(torch.cat(strips, 2))))
        a_h, a_w = torch.split(y, [h, w], 2)
        return f * torch.sigmoid(self.across(a_w.transpose(2, 3))) * torch.sigmoid(self.down(a_h))


class TimesConstant(nn.Module):
    """A constant of a type for which ncnn has no place."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("constant", torch.arange(15).reshape(3, 5).to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.constant


class LeftOver(nn.Module):
    """pnnx has no ncnn layer for the cast and writes `Tensor.to` all the same."""

    def forward(self, x: Tensor) -> Tensor:
        return x.to(torch.float64)


ROUNDING_SIZE = 4001


class Rounding(nn.Module):
    """Weights where roundings to fp16 differ: halves, subnormals, the edges of the range."""

    def __init__(self) -> None:
        super().__init__()
        bits = torch.randint(0, 0x7FFF_FFFF, (2000,), dtype=torch.int32)
        halves = torch.arange(0x3C00, 0x4000, dtype=torch.int16).view(torch.float16).float() + 2.0**-11
        edges = torch.tensor(
            [0.0, -0.0, 65504, 65519.99, -65519.99, 2**-14, 2**-15, 2**-24, torch.inf, -torch.inf, torch.nan]
        )
        below_normal = torch.full((1,), 2.0**-14).view(torch.int32).sub(torch.arange(1, 9000, 700)).view(torch.float32)
        small = bits.view(torch.float32)
        small = small[~small.isfinite() | (small.abs() < 65520)]
        weight = torch.cat([edges, below_normal, halves, -halves, small, -small])[:ROUNDING_SIZE]
        self.linear = nn.Linear(ROUNDING_SIZE, 1)
        self.linear.weight = nn.Parameter(weight[None])

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


NETS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "convolutions_1d": (lambda: Convolutions(1), (1, 3, 12)),
    "convolutions_2d": (lambda: Convolutions(2), (1, 3, 12, 10)),
    "convolutions_3d": (lambda: Convolutions(3), (1, 3, 8, 7, 6)),
    "norms": (Norms, (1, 6, 7, 9)),
    "one_row": (Products, (1, 12)),
    "rows": (Products, (4, 12)),
    "recurrent": (Recurrent, (1, 4)),
    "attention": (Attention, (1, 5, 6)),
    "constants": (Constants, (1, 3, 4, 5)),
    "single_channel": (SingleChannel, (1, 1, 8, 8)),
    "strip_attention": (StripAttention, (1, 3, 16, 12)),
    "rounding": (Rounding, (1, ROUNDING_SIZE)),
}
FROM_ONNX = ("convolutions_2d", "norms", "strip_attention")
NAMES = [*NETS, *(f"{name}.onnx" for name in FROM_ONNX)]


def build(name: str) -> tuple[nn.Module, Tensor]:
    """The seeded network of a name in `NAMES` and an input for it."""
    torch.manual_seed(0)
    factory, shape = NETS[name.removesuffix(".onnx")]
    module = with_statistics(factory().eval())
    return module, torch.randint(10, shape) if name == "recurrent" else torch.rand(shape)


def with_statistics(module: nn.Module) -> nn.Module:
    """Norms that differ from the identity, as training leaves them."""
    for part in module.modules():
        if "Norm" in type(part).__name__:
            for tensor in [*part.parameters(), *part.buffers()]:
                if tensor.is_floating_point():
                    nn.init.uniform_(tensor, 0.5, 2.0)
    return module


def convert(name: str, folder: Path) -> Converted:
    """Run pnnx with `fp16=0` and `fp16=1` on the network of that name."""
    module, x = build(name)
    source = export(module, x, folder, onnx=name.endswith(".onnx"))
    fp32, fp16 = (pnnx(source, x, fp16=fp16) for fp16 in (0, 1))
    assert fp32[0] == fp16[0]
    return Converted(module, fp32[0], fp32[1], fp16[1])


def export(module: nn.Module, x: Tensor, folder: Path, *, onnx: bool = False) -> Path:
    source = folder / ("net.onnx" if onnx else "net.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's and the exporter's, about code of torch
        if onnx:
            torch.onnx.export(module, (x,), source, dynamo=True, verbose=False, external_data=False)
        else:
            torch.jit.trace(module, x, check_trace=False).save(source)
    return source


def pnnx(source: Path, x: Tensor, *, fp16: int = 0) -> tuple[str, bytes]:
    """The param and the bin that pnnx writes."""
    shape = f"inputshape=[{','.join(map(str, x.shape))}]{'' if x.is_floating_point() else 'i64'}"
    binary = Path(site.getsitepackages()[0]) / "pnnx" / "pnnx"
    done = subprocess.run(
        [binary, source.name, shape, f"fp16={fp16}"], cwd=source.parent, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return source.with_name("net.ncnn.param").read_text(), source.with_name("net.ncnn.bin").read_bytes()
