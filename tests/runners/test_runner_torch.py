from __future__ import annotations

import numpy as np
import pytest
import torch
from hop_nets import Function, conv, loaded
from torch import nn

from dwca_export.errors import InputRefusedError
from dwca_export.prepare import prepare
from dwca_export.runners.torch import TorchRunner

SHAPE = (1, 3, 8, 6)


def feed(shape=SHAPE):
    return {"x": np.random.default_rng(0).standard_normal(shape, np.float32)}


def run(model, feeds):
    with TorchRunner(model) as runner:
        return runner.infer(feeds)


def test_outputs_by_name():
    module = Function(lambda self, x: {"a": self.c(x), "b": None, "c": [self.c(x) * 2]}, c=conv(3, 4))
    results = run(prepare(loaded(module), (SHAPE,)), feed())
    assert list(results) == ["a", "c_0"]
    np.testing.assert_array_equal(results["a"], module.c(torch.from_numpy(feed()["x"])).detach().numpy())
    np.testing.assert_array_equal(results["c_0"], results["a"] * 2)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_an_exported_program_may_return_a_dict():
    module = Function(lambda self, x: {"a": self.c(x), "b": None, "c": [self.c(x) * 2]}, c=conv(3, 4)).eval()
    program = torch.export.export(module, (torch.zeros(SHAPE),))
    results = run(prepare(loaded(program, "exported_program"), (SHAPE,)), feed())
    assert list(results) == ["a", "c_0"]
    np.testing.assert_array_equal(results["c_0"], results["a"] * 2)


def test_the_callers_arrays_stay_as_they_are():
    """Other backends are fed with them too."""
    module = Function(lambda self, x: self.c(x.mul_(0)), c=conv(3, 4))
    feeds = feed()
    run(prepare(loaded(module), (SHAPE,)), feeds)
    np.testing.assert_array_equal(feeds["x"], feed()["x"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("view", ["reversed", "transposed", "read-only"])
def test_any_memory_layout(view):
    model = prepare(loaded(Function(lambda self, x: self.c(x), c=conv(3, 4))), (SHAPE,))
    plain = feed()["x"]
    other = {
        "reversed": np.ascontiguousarray(plain[..., ::-1])[..., ::-1],
        "transposed": np.ascontiguousarray(plain.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2),
        "read-only": plain.copy(),
    }[view]
    other.flags.writeable = False
    np.testing.assert_array_equal(run(model, {"x": other})["output"], run(model, {"x": plain})["output"])


def test_other_feeds_are_refused():
    model = prepare(loaded(nn.Sequential(conv(3, 4))), (SHAPE,))
    with pytest.raises(InputRefusedError):
        run(model, {"input": feed((1, 3, 8, 7))["x"]})
