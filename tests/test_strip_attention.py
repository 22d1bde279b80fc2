"""Strip attention by reductions over one axis, which plain pnnx turns into an identity or a crash."""

from __future__ import annotations

import copy
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from bundle_check import eager, least_spread, noise, worst_error
from torch import Tensor, nn

from dwca_export import simplify
from dwca_export.artifacts import LoadedModel
from dwca_export.errors import ConversionError, ParityError
from dwca_export.pipeline import export
from dwca_export.prepare import prepare
from dwca_export.progress import Progress
from dwca_export.request import ExportRequest
from dwca_export.to_ncnn import to_ncnn
from dwca_export.to_onnx import to_onnx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")

SHAPE = (1, 3, 11, 18)  # after the stem 6 x 9: neither square nor a multiple of the SIMD width
OTHER_SHAPES = ((1, 3, 30, 17), (1, 3, 16, 16), (1, 3, 9, 40))
RIGHT = 1e-5  # measured: below 1e-6

REDUCTIONS: dict[str, Callable[[Tensor, int, bool], Tensor]] = {
    "mean": lambda x, axis, kept: x.mean(axis, keepdim=kept),
    "sum": lambda x, axis, kept: x.sum(axis, keepdim=kept) / 8,
    "max": lambda x, axis, kept: x.amax(axis, keepdim=kept),
    "min": lambda x, axis, kept: x.amin(axis, keepdim=kept),
    "norm": lambda x, axis, kept: torch.linalg.vector_norm(x, dim=axis, keepdim=kept),
    "logsumexp": lambda x, axis, kept: torch.logsumexp(x, axis, keepdim=kept),
    "prod": lambda x, axis, kept: x.prod(axis, keepdim=kept),
}


class StripAttention(nn.Module):
    """Gates a map by what a 1x1 convolution makes of its strips.

    Args:
        reduction: Key of `REDUCTIONS`.
        kept: Whether the reduction keeps its axis.
        joined: Whether the strips are normalised together, one behind the other, or each alone.
    """

    def __init__(self, reduction: str, kept: bool, joined: bool) -> None:
        super().__init__()
        self.reduction, self.kept, self.joined = reduction, kept, joined
        self.reduce = nn.Conv2d(12, 8, 1)
        self.norm = nn.GroupNorm(2, 8)
        self.gate_h, self.gate_w = nn.Conv2d(8, 12, 1), nn.Conv2d(8, 12, 1)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.uniform_(self.norm.bias, -0.5, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        strip_h, strip_w = self.strip(x, 3), self.strip(x, 2)
        if self.joined:
            both = self.bottleneck(torch.cat([strip_h, strip_w.transpose(2, 3)], 2))
            strip_h, strip_w = both.split([x.shape[2], x.shape[3]], 2)
            strip_w = strip_w.transpose(2, 3)
        else:
            strip_h, strip_w = self.bottleneck(strip_h), self.bottleneck(strip_w)
        return 4 * x * self.gate_h(strip_h).sigmoid() * self.gate_w(strip_w).sigmoid()

    def strip(self, x: Tensor, axis: int) -> Tensor:
        strip = REDUCTIONS[self.reduction](x, axis, self.kept)
        return strip if self.kept else strip.unsqueeze(axis)

    def bottleneck(self, x: Tensor) -> Tensor:
        return nn.functional.hardswish(self.norm(self.reduce(x)))


def network(*reductions: str, kept: tuple[bool, ...] = (True, False)) -> nn.Sequential:
    """Attentions in a row: each reduction with its axis kept and strips apart, then dropped and joined."""
    torch.manual_seed(0)
    stages = [StripAttention(reduction, keep, joined=not keep) for reduction, keep in product(reductions, kept)]
    return nn.Sequential(nn.Conv2d(3, 12, 3, stride=2, padding=1), *stages).eval()


def exported(file: Path, dynamic: bool = False) -> Path:
    shapes = None if file.suffix == ".onnx" else (SHAPE,)
    request = ExportRequest(file, shapes=shapes, trust=("torch", __name__), dynamic=dynamic)
    return export(request, Progress(quiet=True)).bundle


def saved(module: nn.Module, file: Path) -> Path:
    torch.save(module, file)
    return file


def traced(module: nn.Module, file: Path) -> Path:
    torch.jit.trace(module, torch.zeros(SHAPE)).save(file)
    return file


@pytest.mark.parametrize("reductions", [("mean", "sum"), ("mean", "sum", "max"), ("max", "norm", "logsumexp", "prod")])
def test_the_outputs_depend_on_each_strip(reductions: tuple[str, ...]) -> None:
    """Else the other tests would prove nothing: a wrong reduction anywhere is far outside of the tolerance."""
    module = network(*reductions)
    expected = eager(module, noise(SHAPE))[0]
    assert least_spread(module, noise(SHAPE), noise(SHAPE, seed=100)) > 0.1
    for index in range(1, len(module)):
        wrong = copy.deepcopy(module)
        wrong[index].reduction = "min" if module[index].reduction != "min" else "mean"
        assert np.linalg.norm(eager(wrong, noise(SHAPE))[0] - expected) > 100 * RIGHT * np.linalg.norm(expected)


@pytest.mark.parametrize("reductions", [("mean", "sum"), ("max", "norm", "logsumexp", "prod")])
def test_a_module_comes_out_right(tmp_path: Path, reductions: tuple[str, ...]) -> None:
    module = network(*reductions)
    assert worst_error(module, exported(saved(module, tmp_path / "net.pt")), [noise(SHAPE)]) < RIGHT


def test_a_module_comes_out_right_for_every_size(tmp_path: Path) -> None:
    module = network("mean", "max")
    bundle = exported(saved(module, tmp_path / "net.pt"), dynamic=True)
    assert worst_error(module, bundle, map(noise, [SHAPE, *OTHER_SHAPES])) < RIGHT


def test_torchscript_comes_out_right(tmp_path: Path) -> None:
    module = network("mean", "sum", "max")
    assert worst_error(module, exported(traced(module, tmp_path / "net.pt")), [noise(SHAPE)]) < RIGHT


@pytest.mark.parametrize("opset", [12, 13, 17, 18, 21])
def test_onnx_comes_out_right_wherever_its_opset_puts_the_axes(tmp_path: Path, opset: int) -> None:
    """The axes of a sum became an input with opset 13, those of means and maxima with opset 18."""
    module = network("mean", "sum", "max")
    file = tmp_path / "net.onnx"
    options: dict[str, Any] = {"dynamo": opset >= 18, "opset_version": opset, "verbose": False}
    torch.onnx.export(module, (torch.zeros(SHAPE),), str(file), **options)
    assert worst_error(module, exported(file), [noise(SHAPE)]) < RIGHT


def test_a_minimum_is_refused_with_the_layer(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"ignore ReduceMin .* param axes=3"):
        exported(traced(network("min"), tmp_path / "net.pt"))
    assert not (tmp_path / "net_ncnn_model").exists()


def test_pnnx_without_the_rewrites_loses_the_axis_and_is_refused() -> None:
    """Why the rewrites exist; if this fails, pnnx has changed."""
    given = prepare(LoadedModel(network("sum"), "module", ""), [SHAPE])
    with pytest.raises(ConversionError, match="empty list of axes") as caught:
        to_ncnn(simplify.simplify(to_onnx(given)))
    assert "(Reduction)" in caught.value.where


def test_a_rewrite_that_reduces_wrongly_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plant(proto: Any) -> bool:
        means = [node for node in proto.graph.node if node.op_type == "ReduceMean"]
        means[-1].op_type = "ReduceMax"
        return True

    monkeypatch.setattr(simplify, "REWRITES", (("planted", plant), *simplify.REWRITES))
    with pytest.raises(ParityError, match="relative L2 error"):
        exported(traced(network("mean"), tmp_path / "net.pt"))
    assert not (tmp_path / "net_ncnn_model").exists()


def test_the_check_of_these_tests_sees_one_wrong_strip(tmp_path: Path) -> None:
    module = network("mean", kept=(True,))
    bundle = exported(traced(module, tmp_path / "net.pt"))
    param = bundle / "model.ncnn.param"
    lines = param.read_text().splitlines()
    poolings = [index for index, line in enumerate(lines) if line.startswith("Pooling") and " 0=1 1=9 " in line]
    assert len(poolings) == len(module) - 1
    lines[poolings[-1]] = lines[poolings[-1]].replace(" 0=1 ", " 0=0 ")  # a maximum for the mean
    param.write_text("\n".join([*lines, ""]))
    assert worst_error(module, bundle, [noise(SHAPE)]) > 100 * RIGHT
