"""Every form of network that `prepare` takes, and every one that it refuses."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import warnings
from typing import Dict, NamedTuple, Optional, Tuple  # noqa: UP035  TorchScript knows these only

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as everybody calls it
from hop_nets import Function, conv, loaded
from torch import nn
from torch.nn.utils import parametrizations

from dwca_export.errors import InputRefusedError
from dwca_export.prepare import prepare

# torch speaks ill of TorchScript, and of its own use of itself.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is deprecated:DeprecationWarning", "ignore:.*LeafSpec:FutureWarning", "ignore::torch.jit.TracerWarning"
)

SHAPE = (1, 3, 8, 6)


class Pair(NamedTuple):
    boxes: torch.Tensor
    scores: torch.Tensor


@dataclasses.dataclass
class Detections:
    boxes: torch.Tensor
    extra: object = None


def returns(build, **parts):
    """A network that returns `build(y)` of its convolution's result y."""
    return Function(lambda self, x: build(self.c(x)), c=conv(3, 4, 3), **parts)


def run(model, *inputs):
    with torch.inference_mode():
        return model.program(*inputs)


def refused(module, *shapes, kind="module"):
    with pytest.raises(InputRefusedError) as caught:
        prepare(loaded(module, kind), shapes or (SHAPE,))
    assert caught.value.exit_code == 3
    assert caught.value.where == "prepare"
    assert caught.value.hint
    return caught.value.what


RETURNS = {
    "tensor": (lambda y: y, ["output"]),
    "tuple": (lambda y: (y, y * 2), ["output_0", "output_1"]),
    "list": (lambda y: [y], ["output_0"]),
    "nested": (lambda y: (y, [y * 2, (y * 3,)]), ["output_0", "output_1_0", "output_1_1_0"]),
    "dict": (lambda y: {"a": y, 7: y * 2}, ["a", "7"]),
    "nested dict": (lambda y: {"head": {"box": y}, "aux": [y * 2]}, ["head.box", "aux_0"]),
    "dict in tuple": (lambda y: ({"box": y},), ["output_0.box"]),
    "named tuple": (lambda y: Pair(y, y * 2), ["boxes", "scores"]),
    "dataclass": (Detections, ["boxes"]),
    "dataclass with a dict": (lambda y: Detections(y, {"mask": y * 2}), ["boxes", "extra.mask"]),
    "None inside": (lambda y: {"out": y, "aux": None, "more": (None, y * 2)}, ["out", "more_1"]),
    "torch's own structs": (lambda y: (y, torch.aminmax(y, dim=1)), ["output_0", "output_1_0", "output_1_1"]),
}


@pytest.mark.parametrize(("build", "expected"), RETURNS.values(), ids=RETURNS)
def test_outputs_are_named_after_where_they_are(build, expected):
    module = returns(build)
    model = prepare(loaded(module), (SHAPE,))
    assert [spec.name for spec in model.outputs] == expected
    # The program returns the same tensors, in this order.
    x = torch.randn(SHAPE)
    tensors = run(model, x)
    assert [tuple(tensor.shape) for tensor in tensors] == [spec.shape for spec in model.outputs]
    assert torch.equal(tensors[0], module.c(x))


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (lambda y: None, "no tensor"),
        (lambda y: {}, "no tensor"),
        (lambda y: (None, [None]), "no tensor"),
        (lambda y: "text", "str"),
        (lambda y: {"out": y, "size": 3}, "int in 'size'"),
        (lambda y: (y, {"a": object()}), "object in 'output_1.a'"),
        (lambda y: Detections, "type"),
    ],
)
def test_what_is_no_tensor_is_refused_by_name(build, what):
    assert what in refused(returns(build))


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (lambda y: y.argmax(1), "int64"),
        (lambda y: y > 0, "bool"),
        (lambda y: y.double(), "float64"),
        (lambda y: y.half(), "float16"),
        (lambda y: y / 0, "NaN or infinity"),
        (lambda y: y * float("nan"), "NaN or infinity"),
        (lambda y: y[:, :, 100:], "is empty"),
        (lambda y: y.mean(), "batch axis"),
        (lambda y: y.flatten(), "batch axis"),
        (lambda y: y.reshape(4, -1), "batch axis"),
        (lambda y: y.mean((1, 2, 3)), "1 to 4 axes"),
        (lambda y: y[:, :, None, None, None], "1 to 4 axes"),
    ],
)
def test_outputs_that_nothing_can_be_proven_about_are_refused(build, what):
    assert what in refused(returns(lambda y: {"head": build(y)}))
    assert "'head'" in refused(returns(lambda y: {"head": build(y)}))


def test_nan_weights_are_refused():
    module = conv(3, 4)
    module.weight.data[0] = torch.nan
    assert "NaN" in refused(module)


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: F.dropout(self.c(x), 0.1, training=True),
        lambda self, x: 1e-9 * F.dropout(self.c(x), 0.1, training=True),
        lambda self, x: self.c(x) + torch.rand(1),
    ],
    ids=["dropout", "tiny", "rand"],
)
def test_randomness_is_refused(function):
    assert "from run to run" in refused(Function(function, c=conv(3, 4)))


def test_what_changes_from_call_to_call_is_refused():
    def count(self, x):
        self.calls += 1
        return self.c(x) + self.calls

    assert "from run to run" in refused(Function(count, c=conv(3, 4), calls=0))


def test_a_part_that_ignores_eval_is_refused():
    class Stubborn(nn.BatchNorm2d):
        def train(self, mode=True):
            return super().train(True)

    assert refused(nn.Sequential(conv(3, 4), Stubborn(4))) == "1 is in training mode"


def test_the_forward_may_ask_for_its_dropout_rate():
    module = Function(lambda self, x: F.dropout(self.drop(self.c(x)), self.drop.p, self.training), c=conv(3, 4))
    module.drop = nn.Dropout2d(0.5)
    model = prepare(loaded(module.train()), (SHAPE,))
    x = torch.randn(SHAPE)
    assert torch.equal(run(model, x)[0], module.c(x))


def test_a_tensor_is_returned_once():
    assert "'output_0' again, as 'output_1'" in refused(returns(lambda y: (y, y)))
    assert "'input' again, as 'output'" in refused(nn.Identity())
    assert "again, as 'features'" in refused(Function(lambda self, x: {"y": self.c(x), "features": x}, c=conv(3, 4)))


def test_names_are_unique():
    module = returns(lambda y: {"c": (y, y * 2), "c_0": y * 3, "x": y * 4})
    model = prepare(loaded(module), (SHAPE,))
    assert [spec.name for spec in model.inputs] == ["x"]
    assert [spec.name for spec in model.outputs] == ["c_0", "c_1", "c_0_out", "x_out"]
    assert "output 'x' is called 'x_out': the name was taken" in model.notes


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ((1, 4, 8, 8), "does not run on 1x4x8x8: RuntimeError"),  # channels
        ((1, 3, 1, 1), "does not run on 1x3x1x1: RuntimeError"),  # smaller than the kernel
        ((2, 3, 8, 8), "batch axis of 2x3x8x8 is 2"),
        ((1, 3, 2, 2, 2, 2), "6 axes"),
    ],
)
def test_shapes_that_the_network_does_not_take_are_refused(shape, what):
    what_it_says = refused(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), shape)
    assert what in what_it_says
    assert "\n" not in what_it_says


def test_the_default_shape():
    assert prepare(loaded(nn.Conv2d(3, 2, 8, 8)), None).inputs[0].shape == (1, 3, 224, 224)


def test_several_inputs_are_named_after_the_arguments():
    class Two(nn.Module):
        def forward(self, image, query, scale=None):
            return image.mean((2, 3)) @ query

    shapes = (SHAPE, (1, 3, 5))
    model = prepare(loaded(Two()), shapes)
    assert [(spec.name, spec.shape) for spec in model.inputs] == [("image", SHAPE), ("query", (1, 3, 5))]
    assert "missing" in refused(Two(), SHAPE)
    assert "does not run" in refused(Two(), *shapes, SHAPE, SHAPE)


def test_inputs_without_names():
    class Starred(nn.Module):
        def forward(self, *inputs):
            return inputs[0] + inputs[1]

    assert [spec.name for spec in prepare(loaded(Starred()), (SHAPE, SHAPE)).inputs] == ["input_0", "input_1"]


def normed(kind, module):
    with pytest.warns(FutureWarning) if kind == "old weight_norm" else contextlib.nullcontext():
        return {
            "weight_norm": parametrizations.weight_norm,
            "old weight_norm": torch.nn.utils.weight_norm,
            "spectral_norm": parametrizations.spectral_norm,
            "old spectral_norm": torch.nn.utils.spectral_norm,
            "orthogonal": parametrizations.orthogonal,
        }[kind](module)


@pytest.mark.parametrize("kind", ["weight_norm", "old weight_norm", "spectral_norm", "old spectral_norm", "orthogonal"])
def test_reparametrised_weights_are_folded(kind):
    torch.manual_seed(0)
    layer = normed(kind, conv(3, 4, 3))
    module = nn.Sequential(layer, nn.ReLU()).eval()
    x = torch.randn(SHAPE)
    with torch.inference_mode():
        expected = module(x)
    model = prepare(loaded(module), (SHAPE,))
    assert sorted(dict(layer.named_parameters())) == ["bias", "weight"]
    assert not layer._forward_pre_hooks
    assert type(layer) is nn.Conv2d
    torch.testing.assert_close(run(model, x)[0], expected, rtol=1e-6, atol=1e-6)
    assert model.notes == ("1 re-parametrised weights folded",)


def test_hooks_of_others_stay():
    module = conv(3, 4)
    module.register_forward_pre_hook(lambda self, inputs: (inputs[0] * 2,))
    x = torch.randn(SHAPE)
    expected = module(x)
    assert torch.equal(run(prepare(loaded(module), (SHAPE,)), x)[0], expected)


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile, lambda m: nn.DataParallel(torch.compile(m))])
def test_wrappers_are_taken_off(wrap):
    inner = nn.Sequential(conv(3, 4), nn.ReLU())
    for module in (wrap(inner), nn.Sequential(wrap(inner))):
        model = prepare(loaded(module), (SHAPE,))
        # DataParallel's own forward would name it input_0.
        assert [spec.name for spec in model.inputs] == ["input"]
        assert not {type(part).__name__ for part in model.program.modules()} & {"DataParallel", "OptimizedModule"}
        assert any("unwrapped" in note for note in model.notes)
        x = torch.randn(SHAPE)
        assert torch.equal(run(model, x)[0], inner(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_become_float32(dtype):
    module = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4)).to(dtype)
    kept = copy.deepcopy(module).float().eval()
    model = prepare(loaded(module), (SHAPE,))
    x = torch.randn(SHAPE)
    assert torch.equal(run(model, x)[0], kept(x))
    assert model.notes == (f"{str(dtype).removeprefix('torch.')} weights converted to float32",)


def test_a_network_may_work_in_place_on_its_input():
    model = prepare(loaded(Function(lambda self, x: self.c(x.sub_(0.5).relu_()), c=conv(3, 4))), (SHAPE,))
    assert [spec.name for spec in model.outputs] == ["output"]


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_without_statistics_is_one_of_the_sample(affine):
    norm = nn.BatchNorm2d(4, eps=0.1, affine=affine, track_running_stats=False)
    if affine:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
    module = nn.Sequential(conv(3, 4), nn.Sequential(norm)).eval()
    x = torch.randn(SHAPE)
    expected = module(x)
    model = prepare(loaded(module), (SHAPE,))
    assert not any(isinstance(part, nn.BatchNorm2d) for part in model.program.modules())
    torch.testing.assert_close(run(model, x)[0], expected, rtol=1e-5, atol=1e-6)
    assert model.notes == ("1 BatchNorms without running statistics normalise each sample by its own",)


def test_batch_norm_with_statistics_stays():
    model = prepare(loaded(nn.Sequential(conv(3, 4), nn.BatchNorm2d(4))), (SHAPE,))
    assert any(isinstance(part, nn.BatchNorm2d) for part in model.program.modules())
    assert model.notes == ()


def test_it_can_be_prepared_again_at_another_size():
    module = nn.Sequential(torch.nn.utils.spectral_norm(conv(3, 4)), nn.BatchNorm2d(4, track_running_stats=False))
    first, second = (prepare(loaded(module), ((1, 3, size, size),)) for size in (8, 11))
    assert second.outputs[0].shape == (1, 4, 11, 11)
    x = torch.randn(first.inputs[0].shape)
    assert torch.equal(run(first, x)[0], run(second, x)[0])


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 4, 1)
        self.b = nn.BatchNorm2d(4)
        self.d = nn.Dropout(0.5)

    def forward(self, x):
        return self.d(self.b(self.c(x)))


class Mapped(Plain):
    def forward(self, x) -> Dict[str, torch.Tensor]:  # noqa: UP006
        return {"a": self.c(x), "x": self.b(self.c(x))}


class Maybe(Plain):
    def forward(self, x) -> Tuple[torch.Tensor, Optional[torch.Tensor]]:  # noqa: UP006, UP045
        return self.c(x), None


def script(module):
    return torch.jit.script(module)


def trace(module):
    return torch.jit.trace(module, torch.zeros(SHAPE), check_trace=False)


def test_torchscript():
    for recorded in (script(Plain().train()), trace(Plain().eval()), torch.jit.freeze(script(Plain().eval()))):
        model = prepare(loaded(recorded, "torchscript"), (SHAPE,))
        assert isinstance(model.program, torch.jit.ScriptModule)
        assert [(spec.name, spec.shape) for spec in model.inputs] == [("x", SHAPE)]
        assert [(spec.name, spec.shape) for spec in model.outputs] == [("output", (1, 4, 8, 6))]


def test_torchscript_that_returns_a_dict_is_flattened():
    module = script(Mapped().eval())
    model = prepare(loaded(module, "torchscript"), (SHAPE,))
    assert [spec.name for spec in model.outputs] == ["a", "x_out"]
    x = torch.randn(SHAPE)
    expected = module(x)
    assert all(torch.equal(*pair) for pair in zip(model.program(x), (expected["a"], expected["x"]), strict=True))


@pytest.mark.filterwarnings("error")
def test_flattening_torchscript_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = script(Mapped().eval())
    prepare(loaded(module, "torchscript"), (SHAPE,))


def test_torchscript_that_returns_none_is_refused():
    assert "cannot be flattened" in refused(script(Maybe()), kind="torchscript")


def test_torchscript_recorded_in_training_mode_is_refused():
    assert "aten::batch_norm" in refused(trace(Plain().train()), kind="torchscript")
    dropout = torch.jit.trace(nn.Dropout().train(), torch.zeros(SHAPE), check_trace=False)
    assert "aten::dropout" in refused(dropout, kind="torchscript")


def test_torchscript_with_wrong_channels_is_refused():
    assert "does not run on 1x5x8x6" in refused(trace(Plain().eval()), (1, 5, 8, 6), kind="torchscript")


@pytest.fixture(scope="module")
def program():
    """An exported program that returns None inside a dict, for any height and width."""
    sizes = {2: torch.export.Dim("h", min=4, max=64), 3: torch.export.Dim("w", min=4, max=64)}
    module = returns(lambda y: {"a": F.adaptive_avg_pool2d(y, (None, 1)), "n": None, "b": (y * 2,)}).eval()
    return torch.export.export(module, (torch.randn(SHAPE),), dynamic_shapes={"x": sizes})


def test_exported_program(program):
    x = torch.randn(1, 3, 11, 9)
    expected = program.module()(x)
    model = prepare(loaded(program, "exported_program"), (tuple(x.shape),))
    assert [(spec.name, spec.shape) for spec in model.inputs] == [("x", (1, 3, 11, 9))]
    assert [spec.name for spec in model.outputs] == ["a", "b_0"]
    # For one size: the ONNX exporter would take some sizes from the program's example input.
    assert not model.program.range_constraints
    returned = model.program.module()(x)
    assert torch.equal(returned["a"], expected["a"])
    assert torch.equal(returned["b"][0], expected["b"][0])


@pytest.mark.parametrize(
    ("shapes", "what"),
    [
        ((SHAPE, SHAPE), "takes 1 inputs"),
        (((1, 5, 8, 8),), "does not run on 1x5x8x8"),
        (((1, 3, 2, 2),), "does not run on 1x3x2x2"),
        (((2, 3, 8, 8),), "batch axis"),
    ],
)
def test_exported_program_with_other_shapes_is_refused(program, shapes, what):
    assert what in refused(program, *shapes, kind="exported_program")


def test_exported_program_recorded_in_training_mode_is_refused():
    batch_norm = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4)).train()
    exported = torch.export.export(batch_norm, (torch.randn(SHAPE),))
    assert "aten.batch_norm.default" in refused(exported, kind="exported_program")
    assert "batch_norm_legit" in refused(exported.run_decompositions(), kind="exported_program")
    norm = nn.BatchNorm2d(3)
    update = Function(
        lambda self, x: torch.ops.aten._batch_norm_with_update(
            x, self.n.weight, self.n.bias, self.n.running_mean, self.n.running_var, 0.1, 1e-5
        )[0],
        n=norm,
    )
    exported = torch.export.export(update, (torch.randn(SHAPE),))
    assert "with_update" in refused(exported, kind="exported_program")
    dropout = torch.export.export(nn.Dropout(0.5).train(), (torch.randn(SHAPE),))
    assert "aten.dropout.default" in refused(dropout, kind="exported_program")


def test_exported_program_recorded_in_eval_mode_passes():
    # A BatchNorm without running statistics uses those of the batch in eval mode too.
    module = nn.Sequential(Plain(), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    exported = torch.export.export(module, (torch.randn(SHAPE),))
    for program in (exported, exported.run_decompositions()):
        model = prepare(loaded(program, "exported_program"), (SHAPE,))
        assert [(spec.name, spec.shape) for spec in model.outputs] == [("output", (1, 4, 8, 6))]
