from __future__ import annotations

import pytest
from hand_made import assert_close, graph, noise, tapped, values

from dwca_export.ncnn.graph import Tap
from dwca_export.ncnn.passes.remove_identity import apply

NOTHING = [
    "Noop a -> b",
    "Dropout a -> b",
    "Dropout a -> b 0=1.0",
    "Permute a -> b 0=0",
    "Permute a -> b",
    "Concat a -> b 0=1",
    "Slice a -> b -23300=1,-233 1=1",
    "BinaryOp a -> b 0=0 1=1 2=0.0",
    "BinaryOp a -> b 0=0 1=1",
    "BinaryOp a -> b 0=1 1=1 2=0",
    "BinaryOp a -> b 0=2 1=1 2=1.0",
    "BinaryOp a -> b 0=3 1=1 2=1.0",
    "Pooling a -> b 0=1 1=1",
    "Pooling a -> b 0=0 1=1 11=1 2=1 12=1 3=0 13=0",
    "Padding a -> b",
    "Padding a -> b 0=0 1=0 2=0 3=0 4=0 5=3.5",
]

SOMETHING = [
    "Dropout a -> b 0=0.5",
    "Permute a -> b 0=1",
    "Concat a in0 -> b 0=1",
    "Slice a -> b -23300=1,3 1=1",
    "Slice a -> b -23302=1,3 1=1",
    "Slice a -> b c -23300=2,-233,-233 1=1",
    "BinaryOp a -> b 0=0 1=1 2=1.0",
    "BinaryOp a -> b 0=2 1=1",
    "BinaryOp a -> b 0=2 1=1 2=0.9999999",
    "BinaryOp a -> b 0=6 1=1 2=1.0",
    "BinaryOp a -> b 0=7 1=1 2=0.0",
    "BinaryOp a -> b 0=8 1=1 2=1.0",
    "BinaryOp a in0 -> b 0=0",
    "Pooling a -> b 0=1 1=2",
    "Pooling a -> b 0=1 1=1 11=2",
    "Pooling a -> b 0=1 1=1 2=2",
    "Pooling a -> b 0=1 1=1 2=1 12=2",
    "Pooling a -> b 0=1 1=1 3=1",
    "Pooling a -> b 0=1 1=1 13=1",
    "Pooling a -> b 0=1 1=1 14=1",
    "Pooling a -> b 0=1 1=1 15=1",
    "Pooling a -> b 0=1 1=1 4=1",
    "Pooling a -> b 0=1 1=1 7=1 8=2",
    "Padding a -> b 0=1",
    "Padding a -> b 3=2",
    "Padding a -> b 7=1",
    "ReLU a -> b",
]


@pytest.mark.parametrize("line", NOTHING)
def test_removes_what_does_nothing(line):
    made = graph("Input -> in0", "TanH in0 -> a", line, "Sigmoid b -> c", taps={"before": "a", "nothing": "b"})
    x = noise(4, 5, 6)

    after, modified = apply(made)

    assert modified is True
    assert [layer.type for layer in after.layers] == ["Input", "TanH", "Sigmoid"]
    # Not exactly: ncnn divides with a reciprocal.
    assert_close(values(after, x), values(made, x), 1e-6)
    assert after.taps == (Tap("before", "a"), Tap("nothing", "a"))
    assert_close([tapped(after, x)["before"]], [tapped(made, x)["nothing"]], 1e-6)


@pytest.mark.parametrize("line", SOMETHING)
def test_leaves_what_does_something(line):
    made = graph("Input -> in0", "TanH in0 -> a", line)
    after, modified = apply(made)
    assert modified is False
    assert after is made


def test_a_slice_may_leave_some():
    """The parts of a `Slice` need not add up: into one blob it may cut."""
    made = graph("Input -> in0", "TanH in0 -> a", "Slice a -> b -23300=1,3 1=1")
    assert values(made, noise(4, 5, 6))[0].shape == (4, 3, 6)


def test_removes_chains_and_keeps_outputs_that_become_one():
    made = graph(
        "Input -> in0", "TanH in0 -> a", "Noop a -> b", "Dropout b -> c", "ReLU c -> d", outputs=("c", "d", "a")
    )
    x = noise(1, 3, 4)
    after, modified = apply(made)
    assert modified is True
    assert after.outputs == ("a", "d", "a")
    assert_close(values(after, x), values(made, x), tolerance=0)


def test_leaves_an_output_that_would_be_an_input():
    made = graph("Input -> in0", "Noop in0 -> a", "ReLU in0 -> b")
    assert apply(made) == (made, False)


def test_removes_an_input_s_identity_that_only_layers_read():
    made = graph("Input -> in0", "Noop in0 -> a", "BinaryOp in0 a -> b 0=2")
    x = noise(1, 3, 4)
    after, modified = apply(made)
    assert modified is True
    assert after.layer("b").bottoms == ("in0", "in0")
    assert_close(values(after, x), [x * x], tolerance=0)
