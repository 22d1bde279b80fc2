"""What torch's exporters make of a prepared network, under which names, and in silence."""

from __future__ import annotations

import onnx
import pytest
import torch
from hop_nets import Function, conv, loaded, with_statistics
from small_graphs import copy, noise, run_ort
from torch import nn

from dwca_export.errors import ConversionError
from dwca_export.prepare import prepare
from dwca_export.runners.torch import TorchRunner
from dwca_export.to_onnx import to_onnx

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning", "ignore:.*LeafSpec:FutureWarning")

SHAPE = (1, 3, 8, 6)


def silently(capfd, model):
    """Export; nothing may come out, neither from Python nor from C++."""
    capfd.readouterr()
    exported = to_onnx(model)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""
    return exported


def assert_same(model, exported):
    """ONNX Runtime computes what torch does, under the same names, in the same order."""
    feeds = noise({spec.name: spec.shape for spec in model.inputs})
    with TorchRunner(model) as runner:
        expected = runner.infer(feeds)
    actual = run_ort(exported.proto, feeds)
    assert list(actual) == list(expected)
    for name, array in expected.items():
        torch.testing.assert_close(torch.from_numpy(actual[name]), torch.from_numpy(array), rtol=1e-4, atol=1e-5)


def module_names(exported):
    """In the order of the graph."""
    return [exported.scopes[value] for node in exported.proto.graph.node for value in node.output[:1]]


class Stage(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = conv(channels, channels, 3)
        self.act = nn.Hardswish()

    def forward(self, x):
        return x + self.act(self.conv(self.act(x)))


class Repeating(nn.Module):
    """Modules inside modules, called once or twice; a dropout; an operation of its own at either end."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 4)
        self.stages = nn.Sequential(Stage(4), Stage(4))
        self.between = conv(4, 4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.stages(self.between(self.stages[0](self.stem(x * 2))))
        return {"classes": self.head(self.drop(x.mean((2, 3)))), "map": torch.sigmoid(x)}


def test_values_are_named_after_modules(capfd):
    model = prepare(loaded(Repeating()), (SHAPE,))
    exported = silently(capfd, model)
    assert_same(model, exported)
    assert module_names(exported) == [
        "mul",
        "stem",
        *("stages.0.act", "stages.0.conv", "stages.0.act#2", "stages.0"),
        "between",
        *("stages.0.act#3", "stages.0.conv#2", "stages.0.act#4", "stages.0#2"),
        *("stages.1.act", "stages.1.conv", "stages.1.act#2", "stages.1"),
        "mean",
        "head",
        "sigmoid",
    ]
    assert "Dropout" not in {node.op_type for node in exported.proto.graph.node}


class InARow(nn.Module):
    """The same modules called twice, with nothing between the calls."""

    def __init__(self):
        super().__init__()
        self.conv, self.stage = conv(3, 3), Stage(3)

    def forward(self, x):
        return self.stage(self.stage(self.conv(self.conv(x))))


@pytest.mark.parametrize("kind", ["module", "exported_program"])
def test_calls_in_a_row_are_told_apart(kind):
    torch.manual_seed(0)
    module = InARow().eval()
    given = module if kind == "module" else torch.export.export(module, (torch.zeros(SHAPE),))
    exported = to_onnx(prepare(loaded(given, kind), (SHAPE,)))
    stages = [(f"stage{call}", f"stage.conv{call}") for call in ("", "#2")]
    names = {"conv", "conv#2", *(name for pair in stages for name in pair)}
    assert names <= set(module_names(exported))
    feeds = noise({exported.inputs[0].name: SHAPE})
    expected = {}

    def record(name, output):
        expected[name if name not in expected else f"{name}#2"] = output

    for name in ("conv", "stage", "stage.conv"):
        module.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: record(name, output))
    with torch.inference_mode():
        module(torch.from_numpy(feeds[exported.inputs[0].name]))
    values = [value for value, name in exported.scopes.items() if name in names]
    graph = copy(exported.proto)
    del graph.graph.output[:]
    graph.graph.output.extend(onnx.helper.make_tensor_value_info(value, 1, SHAPE) for value in values)
    for value, array in run_ort(graph, feeds).items():
        torch.testing.assert_close(torch.from_numpy(array), expected[exported.scopes[value]], rtol=1e-4, atol=1e-5)


def test_several_inputs_and_outputs_keep_their_names_and_order(capfd):
    class Two(nn.Module):
        def forward(self, query, image):
            return {"z": image.mean((2, 3)) @ query, "a": (query * 2, image + 1)}

    model = prepare(loaded(Two()), ((1, 3, 5), SHAPE))
    exported = silently(capfd, model)
    assert [value.name for value in exported.proto.graph.input] == ["query", "image"]
    assert [value.name for value in exported.proto.graph.output] == ["z", "a_0", "a_1"]
    assert_same(model, exported)


def test_names_that_the_exporter_uses_too():
    class Clashing(nn.Module):
        def __init__(self):
            super().__init__()
            self.c = conv(3, 4)

        def forward(self, mul, relu):
            y = torch.relu(mul * relu)
            return {"sigmoid": self.c(y), "add": torch.sigmoid(y) + 1, "model": {"c": {"weight": y * 2}}}

    model = prepare(loaded(Clashing()), (SHAPE, SHAPE))
    exported = to_onnx(model)
    assert [value.name for value in exported.proto.graph.input] == ["mul", "relu"]
    assert [value.name for value in exported.proto.graph.output] == ["sigmoid", "add", "model.c.weight"]
    assert_same(model, exported)


def test_exported_program(capfd):
    module = nn.Sequential()
    # The name under which `prepare` keeps modules is no wrapper here.
    module.model = with_statistics(nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), nn.Hardswish()))
    program = torch.export.export(module, (torch.randn(SHAPE),))
    model = prepare(loaded(program, "exported_program"), (SHAPE,))
    exported = silently(capfd, model)
    assert_same(model, exported)
    assert module_names(exported)[-1] == "model.2"
    assert all(name.startswith("model.") for name in module_names(exported))


class Branching(nn.Module):
    """Control flow that only TorchScript keeps."""

    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 4, 1)
        self.b = nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.b(self.c(x))
        return {"y": torch.relu(y), "n": y.flatten(1)}


@pytest.mark.parametrize("record", [torch.jit.script, lambda m: torch.jit.trace(m, torch.zeros(SHAPE), strict=False)])
def test_torchscript(capfd, record):
    model = prepare(loaded(record(with_statistics(Branching())), "torchscript"), (SHAPE,))
    exported = silently(capfd, model)
    assert_same(model, exported)
    assert exported.scopes == {}


def _data_dependent(self, x):
    return self.c(x) if x.sum() > 0 else self.c(x) * 2


def _no_onnx(self, x):
    return torch.linalg.eigvalsh(self.c(x))


@pytest.mark.parametrize(
    ("function", "shape", "cause"),
    [(_data_dependent, SHAPE, "data-dependent"), (_no_onnx, (1, 3, 8, 8), "linalg_eigh")],
    ids=["data-dependent", "no such operator"],
)
def test_what_cannot_be_exported_is_refused_in_one_line(capfd, function, shape, cause):
    model = prepare(loaded(Function(function, c=conv(3, 4))), (shape,))
    with pytest.raises(ConversionError) as caught:
        silently(capfd, model)
    assert caught.value.exit_code == 4
    assert caught.value.where == "to_onnx"
    assert caught.value.hint
    assert cause in caught.value.what
    assert "\n" not in caught.value.what
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_the_graph_is_valid_and_static():
    exported = to_onnx(prepare(loaded(nn.Sequential(conv(3, 4, 3), nn.GroupNorm(2, 4))), (SHAPE,)))
    onnx.checker.check_model(exported.proto, full_check=True)
    assert [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in exported.proto.graph.input] == [
        list(SHAPE)
    ]
