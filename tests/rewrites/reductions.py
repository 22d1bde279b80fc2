"""Networks of one reduction behind a convolution, in the form of any opset."""

from __future__ import annotations

import numpy as np
from small_graphs import copy, noise, proto, run_ort

SHAPE = (1, 6, 5, 7)
AXES_ARE_INPUT = {"ReduceSum": 13}  # since this opset; all others since 18


def reduction(operator, axes, keepdims, opset, shape=SHAPE):
    """x -> pointwise convolution -> reduction -> y."""
    first, weights = pointwise(shape)
    inputs, attributes = ["c"], {"keepdims": int(keepdims)}
    if opset >= AXES_ARE_INPUT.get(operator, 18):
        weights["axes"] = np.array(axes, np.int64)
        inputs.append("axes")
    else:
        attributes["axes"] = axes
    output = np.zeros(shape).mean(tuple(axes), keepdims=keepdims).shape
    return proto([first, (operator, inputs, ["y"], attributes)], {"x": shape}, {"y": output}, weights, opset)


def pointwise(shape):
    """The node x -> c and its weights: without a convolution pnnx misplaces the batch axis."""
    if len(shape) < 3:
        return ("Relu", ["x"], ["c"], {}), {}
    return ("Conv", ["x", "w"], ["c"], {}), noise({"w": (shape[1], shape[1], *[1] * (len(shape) - 2))})


def operators(model):
    return [node.op_type for node in model.graph.node][1:]


def assert_rewritten(apply, model):
    """The rewrite says so, and ONNX Runtime computes the same before and after; returns the new model."""
    before = copy(model)
    assert apply(model)
    assert model != before
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    feeds = noise({"x": shape}, seed=1)
    expected, actual = run_ort(before, feeds)["y"], run_ort(model, feeds)["y"]
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    # Once is enough.
    assert not apply(model)


def assert_left_alone(apply, model):
    before = copy(model)
    assert apply(model) is False
    assert model == before
