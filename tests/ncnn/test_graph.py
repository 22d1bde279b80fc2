from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hand_made import assert_close, finish, graph, model, noise, run, tapped, values
from hypothesis import given, settings
from hypothesis import strategies as st

from dwca_export.errors import ConversionError
from dwca_export.ncnn.graph import Tap, from_model, to_model

CONV = "0=4 1=3 4=1 5=1 6=108"

NETWORKS = {
    "chain": (
        f"""Input in0 0 1 in0
            Convolution conv_0 1 1 in0 1 {CONV}
            ReLU relu_0 1 1 1 out0""",
        1,
        (),
    ),
    "a blob that three layers read": (
        f"""Input in0 0 1 in0
            Convolution conv_0 1 1 in0 1 {CONV}
            Split splitncnn_0 1 3 1 2 3 4
            ReLU relu_0 1 1 2 5
            BinaryOp mul_0 2 1 5 3 6 0=2
            BinaryOp add_0 2 1 6 4 out0 0=0""",
        1,
        (),
    ),
    "a layer that reads a blob twice": (
        """Input in0 0 1 in0
           Split splitncnn_0 1 2 in0 1 2
           BinaryOp mul_0 2 1 1 2 out0 0=2""",
        1,
        (),
    ),
    "an output that is read": (
        f"""Input in0 0 1 in0
            Convolution conv_0 1 1 in0 1 {CONV}
            Split splitncnn_0 1 2 1 out0 2
            Sigmoid sigmoid_0 1 1 2 out1""",
        2,
        (),
    ),
    "a blob that is returned twice and read": (
        f"""Input in0 0 1 in0
            Convolution conv_0 1 1 in0 1 {CONV}
            Split splitncnn_0 1 3 1 out0 out2 2
            Sigmoid sigmoid_0 1 1 2 out1""",
        3,
        (),
    ),
    "a blob that is returned twice": (
        f"""Input in0 0 1 in0
            Convolution conv_0 1 1 in0 1 {CONV}
            Split splitncnn_0 1 2 1 out0 out1""",
        2,
        (),
    ),
    "an input that is an output": (
        f"""Input in0 0 1 in0
            Split splitncnn_0 1 2 in0 out0 1
            Convolution conv_0 1 1 1 out1 {CONV}""",
        2,
        (),
    ),
    "Split behind Split, outputs out of order": (
        f"""Input in0 0 1 in0
            Convolution conv_0 1 1 in0 1 {CONV}
            Split splitncnn_0 1 2 1 out1 2
            Split splitncnn_1 1 2 2 3 4
            Sigmoid sigmoid_0 1 1 3 out2
            ReLU relu_0 1 1 4 out0""",
        3,
        (),
    ),
    "two inputs": (
        f"""Input in0 0 1 in0
            Input in1 0 1 in1
            Convolution conv_0 1 1 in1 1 {CONV}
            Convolution conv_1 1 1 in0 2 {CONV}
            BinaryOp sub_0 2 1 1 2 out0 0=1""",
        1,
        (),
    ),
    "taps that share a blob": (
        f"""Input in0 0 1 in0
            Convolution conv_0 1 1 in0 1 {CONV}
            Split splitncnn_0 1 3 1 out1 out2 2
            Sigmoid sigmoid_0 1 1 2 3
            Split splitncnn_1 1 2 3 out0 out3""",
        1,
        ("body.conv", "body.drop", "body.gate"),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip_computes_the_same(name):
    text, outputs, taps = NETWORKS[name]
    before = model(text, outputs, taps)
    arrays = [noise(3, 7, 5, seed=seed) for seed in range(len(before.inputs))]

    bare = from_model(before)
    assert all(layer.type != "Split" for layer in bare.layers)
    after = to_model(bare, before)

    assert_close(list(run(after, arrays).values()), list(run(before, arrays).values()), tolerance=0)
    assert after.param.inputs == tuple(f"in{index}" for index in range(len(before.inputs)))
    assert after.taps == ()
    assert [tap.name for tap in after.tapped] == list(taps)
    written = [f"out{outputs + index}" for index in range(len(taps))]
    read = [tap.blob for tap in after.tapped]
    if taps:
        assert_close(list(run(after, arrays, read).values()), _distinct(run(before, arrays, written)), tolerance=0)


def _distinct(found):
    """The values without those of a blob that was asked for before."""
    kept = []
    for value in found.values():
        if not any(np.array_equal(value, other) for other in kept):
            kept.append(value)
    return kept


@pytest.mark.parametrize("name", NETWORKS)
def test_splits_are_only_where_they_must_be(name):
    text, outputs, taps = NETWORKS[name]
    before = model(text, outputs, taps)
    bare = from_model(before)
    reads = [blob for layer in bare.layers for blob in layer.bottoms] + list(bare.outputs)
    wanted = {blob for blob in reads if reads.count(blob) > 1}

    after = to_model(bare, before)

    # An input that is an output alone needs one too: a blob has one name.
    assert sum(layer.type == "Split" for layer in after.param.layers) == len(wanted)


def test_an_input_that_is_nothing_but_an_output():
    bare = graph("Input -> in0", "Input -> in1", "ReLU in1 -> a", outputs=("in0", "a"))
    x, y = noise(2, 3, 4), noise(2, 3, 4, seed=2)
    assert_close(values(bare, x, y), [x, np.maximum(y, 0)], tolerance=0)


def test_weights_go_with_their_layers():
    before = model(NETWORKS["two inputs"][0])
    after = to_model(from_model(before), before)
    assert [weight.layer for weight in after.weights] == [
        layer.name for layer in after.param.layers if layer.type == "Convolution" for _ in range(2)
    ]
    for old, new in zip(before.weights, after.weights, strict=True):
        assert old.data is new.data


NASTY = (
    "in0",
    "out0",
    "out1",
    "0",
    "1",
    "2",
    "convolution_1",
    "relu_2",
    "splitncnn_0",
    "in0_splitncnn_0",
    "0#2",
    "conv_6",
    "with space",
    "tab\tand\nline",
    " ",
    "",
    "ü" * 300,
    "a" * 400,
    "a" * 401,
    "7767517",
    "a=b",
    '"quoted"',
    "-23300=1,1",
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(NASTY) | st.text(max_size=8).filter(lambda text: "\0" not in text), max_size=6))
def test_any_tap_name_is_made_one_that_ncnn_reads(names):
    """Of a Sequential, modules are called `0`, `1`, ...; foreign graphs call values what they like."""
    lines = ["Input -> in0", "ReLU in0 -> a", "Sigmoid a -> b", "TanH b -> c", "BinaryOp a b -> d 0=0"]
    made = graph(*lines, outputs=("d", "b", "c"))
    blobs = ["a", "d", "b", "c", "a", "in0"]
    made = replace(made, taps=tuple(map(Tap, names, blobs)))
    x = noise(2, 3, 4)

    network = finish(made)

    a = np.maximum(x, 0)
    b = 1 / (1 + np.exp(-a))
    expected = {"a": a, "b": b, "c": np.tanh(b), "d": a + b, "in0": x}
    assert [tap.name for tap in network.tapped] == list(names)
    for tap, blob in zip(network.tapped, blobs, strict=False):
        assert_close(list(run(network, [x], [tap.blob]).values()), [expected[blob]], 1e-4)
    assert_close(list(run(network, [x]).values()), [expected[blob] for blob in "dbc"], 1e-4)


def test_names_come_from_the_modules():
    made = graph(
        "Input -> in0",
        f"Convolution in0 -> 1 {CONV}",
        "ReLU 1 -> 2",
        "Sigmoid 1 -> 3",
        "BinaryOp 2 3 -> 4 0=2",
        taps={"stem.conv": "1", "stem.drop": "1", "gate": "3"},
    )
    network = finish(made)
    assert [layer.name for layer in network.param.layers] == [
        "in0",
        "stem.conv",
        "splitncnn_0",
        "relu_2",
        "gate",
        "binaryop_4",
    ]
    assert network.param.blobs == (
        "in0",
        "stem.conv",
        "stem.conv_splitncnn_0",
        "stem.conv_splitncnn_1",
        "2",
        "gate",
        "out0",
    )
    assert network.tapped == (Tap("stem.conv", "stem.conv"), Tap("stem.drop", "stem.conv"), Tap("gate", "gate"))


def test_an_output_keeps_its_name_where_a_tap_is_called_so():
    """`out0` is what callers ask for: a module of that name must not take it."""
    made = graph("Input -> in0", "ReLU in0 -> a", "Sigmoid a -> b", outputs=("b",), taps={"out0": "a"})
    x = noise(1, 2, 3)
    network = finish(made)
    assert_close(list(run(network, [x]).values()), [1 / (1 + np.exp(-np.maximum(x, 0)))], 1e-4)
    assert_close(list(tapped(made, x).values()), [np.maximum(x, 0)], tolerance=0)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(6)))
def test_in_order_writes_before_it_reads(order):
    lines = ["Input -> in0", "ReLU in0 -> a", "TanH a -> b", "TanH a -> c", "BinaryOp b c -> d 0=0", "TanH d -> e"]
    made = graph(*lines)
    shuffled = replace(made, layers=tuple(made.layers[index] for index in order))
    written = set()
    for layer in shuffled.in_order().layers:
        assert written.issuperset(layer.bottoms)
        written.update(layer.tops)
    assert written == {"in0", "a", "b", "c", "d", "e"}
    assert made.in_order() == made


def test_edited_exchanges_removes_and_forgets():
    made = graph(
        "Input -> in0",
        f"Convolution in0 -> a {CONV}",
        "ReLU a -> b",
        f"Convolution b -> c {CONV.replace('108', '144')}",
        taps={"first": "a", "second": "b", "third": "c"},
    )
    a, b, c = (made.layer(name) for name in "abc")

    edited = made.edited(changed=[replace(c, bottoms=("a",))], removed=[b], weights={"a": made.weights["a"][:1]})

    assert [layer.name for layer in edited.layers] == ["in0", "a", "c"]
    assert edited.layer("c").bottoms == ("a",)
    assert edited.layer("b") is None
    assert [weight.name for weight in edited.weights["a"]] == ["weight"]
    assert edited.taps == (Tap("first", "a"), Tap("third", "c"))
    assert made.edited(removed=[a]).weights.keys() == {"c"}
    assert made.layer("b") == b


def test_renamed_reaches_layers_outputs_and_taps():
    made = graph("Input -> in0", "ReLU in0 -> a", "TanH a -> b", outputs=("b", "a"), taps={"one": "a"})
    renamed = made.renamed({"a": "b", "b": "a"})
    assert [(layer.bottoms, layer.tops) for layer in renamed.layers[1:]] == [(("in0",), ("b",)), (("b",), ("a",))]
    assert renamed.outputs == ("a", "b")
    assert renamed.taps == (Tap("one", "b"),)


def test_only_reader_is_alone_and_no_output():
    made = graph("Input -> in0", "ReLU in0 -> a", "TanH a -> b", "TanH b -> c", "TanH b -> d", outputs=("c", "d", "a"))
    assert made.only_reader("in0").name == "a"
    assert made.only_reader("a") is None, "an output"
    assert made.only_reader("b") is None, "two readers"
    assert made.only_reader("d") is None, "no reader"
    assert made.producer("d").name == "d"


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("b", {"tops": ("a",)}, "layer c .*no layer writes"),
        ("c", {"tops": ("a",)}, "written a second time"),
        ("a", {"bottoms": ("c",)}, "layer a .*no layer writes"),
    ],
)
def test_a_broken_graph_is_refused(name, change, fault):
    made = graph("Input -> in0", "ReLU in0 -> a", "TanH in0 -> b", "BinaryOp a b -> c 0=0", outputs=("c",))
    broken = made.edited(changed=[replace(made.layer(name), **change)])
    with pytest.raises(ConversionError, match=fault):
        finish(broken)
