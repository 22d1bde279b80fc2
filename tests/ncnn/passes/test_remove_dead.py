from __future__ import annotations

from hand_made import assert_close, finish, graph, noise, values

from dwca_export.ncnn.passes.remove_dead import apply

CONV = "0=4 1=3 4=1 5=1 6=108"


def test_removes_what_nobody_reads_with_its_weights():
    made = graph(
        "Input -> in0",
        f"Convolution in0 -> a {CONV}",
        f"Convolution in0 -> b {CONV}",
        "ReLU b -> c",
        "Sigmoid a -> d",
        outputs=("d",),
        taps={"kept": "a", "lost": "c"},
    )
    x = noise(3, 5, 6)

    after, modified = apply(made)

    assert modified is True
    assert [layer.name for layer in after.layers] == ["in0", "a", "d"]
    assert after.weights.keys() == {"a"}
    assert [tap.name for tap in after.taps] == ["kept"]
    assert_close(values(after, x), values(made, x), tolerance=0)
    assert [weight.layer for weight in finish(after).weights] == ["kept", "kept"]


def test_a_tap_is_no_reader():
    made = graph("Input -> in0", "ReLU in0 -> a", "TanH in0 -> b", outputs=("b",), taps={"a": "a"})
    after, modified = apply(made)
    assert modified is True
    assert after.taps == ()


def test_leaves_a_layer_one_of_whose_blobs_is_read():
    made = graph("Input -> in0", "Slice in0 -> a b -23300=2,2,1 1=0", "ReLU b -> c", outputs=("c",))
    after, modified = apply(made)
    assert modified is False
    assert after is made
    assert_close(values(after, noise(3, 2, 2)), [noise(3, 2, 2)[2:].clip(0)], tolerance=0)


def test_leaves_inputs_because_callers_feed_them():
    made = graph("Input -> in0", "Input -> in1", "ReLU in0 -> a", outputs=("a",))
    after, modified = apply(made)
    assert modified is False
    assert after is made


def test_leaves_outputs_that_are_read_and_whatever_leads_to_them():
    made = graph("Input -> in0", "ReLU in0 -> a", "TanH a -> b", "Sigmoid b -> c", outputs=("a", "c"))
    assert apply(made) == (made, False)
