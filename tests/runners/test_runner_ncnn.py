from __future__ import annotations

import numpy as np
import pytest
from hand_written import INPUT, OUTPUT, expected, feed, network

from dwca_export.artifacts import TensorSpec
from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.runners.ncnn import MODES, NcnnRunner


def open_network(files, **options):
    return NcnnRunner(*files, [INPUT], [OUTPUT], **options)


def test_outputs_by_name_with_batch_axis(tmp_path):
    sample = feed()
    with open_network(network(tmp_path)) as runner:
        result = runner.infer(sample)
    assert list(result) == ["y"]
    assert result["y"].shape == (1, 1, 3, 4)
    np.testing.assert_allclose(result["y"], expected(sample), rtol=1e-6)


def test_fp32_means_that_nothing_is_rounded(tmp_path):
    """ncnn's own defaults round to fp16, on x86 too."""
    errors = {}
    for mode in MODES:
        with open_network(network(tmp_path), mode=mode) as runner:
            errors[mode] = np.abs(runner.infer(feed())["y"] - expected(feed())).max()
    assert errors["fp32"] < 1e-6
    assert errors["bf16-storage"] > 1e-4
    assert max(errors.values()) < 0.1


def test_only_the_networks_size_unless_it_was_made_for_any(tmp_path):
    files = network(tmp_path)
    larger = feed(1, 2, 5, 7)
    with open_network(files) as runner, pytest.raises(InputRefusedError, match=r"\[1, 2, 3, 4\] only"):
        runner.infer(larger)
    with open_network(files, any_size=True) as runner:
        np.testing.assert_allclose(runner.infer(larger)["y"], expected(larger), rtol=1e-6)
        with pytest.raises(InputRefusedError):
            runner.infer(feed(1, 3, 3, 4))


def test_feeds_in_any_memory_layout_stay_as_they_are(tmp_path):
    turned = np.ascontiguousarray(feed()["x"].transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
    turned.flags.writeable = False
    # An activation that ncnn computes in place.
    layers = ("ReLU relu 1 1 in0 r", "Convolution conv 1 1 r out0 0=1 1=1 5=0 6=2")
    with open_network(network(tmp_path, *layers)) as runner:
        for _ in range(3):
            result = runner.infer({"x": turned})["y"]
            np.testing.assert_allclose(result, expected({"x": np.maximum(feed()["x"], 0)}), rtol=1e-6)
    np.testing.assert_array_equal(turned, feed()["x"])


def test_any_blob_after_one_pass(tmp_path):
    layers = ("ReLU relu 1 1 in0 r", "AbsVal abs 1 1 r a", "Convolution conv 1 1 a out0 0=1 1=1 5=0 6=2")
    with open_network(network(tmp_path, *layers)) as runner:
        blobs = runner.infer_blobs(feed(), ["out0", "r", "in0", "a"])
    assert list(blobs) == ["out0", "r", "in0", "a"]
    np.testing.assert_array_equal(blobs["r"], np.maximum(feed()["x"][0], 0))
    np.testing.assert_array_equal(blobs["in0"], feed()["x"][0])


def test_what_does_not_load_is_refused(tmp_path, capfd):
    good_param, good_bin = network(tmp_path)
    cut = tmp_path / "cut.bin"
    cut.write_bytes(good_bin.read_bytes()[:-4])
    garbage = tmp_path / "garbage.param"
    garbage.write_text("hello\n1 2\nnothing at all\n")
    unknown, _ = network(tmp_path, "NoSuchLayer conv 1 1 in0 out0", name="unknown")
    for files in (
        (good_param, cut),
        (good_param, tmp_path / "missing.bin"),
        (tmp_path / "missing.param", good_bin),
        (garbage, good_bin),
        (unknown, good_bin),
        (tmp_path, good_bin),
    ):
        with pytest.raises(ConversionError, match="ncnn does not load the network"):
            open_network(files)


def test_a_bin_has_to_be_a_file_even_if_nothing_is_read_from_it(tmp_path):
    param, data = network(tmp_path, "ReLU relu 1 1 in0 out0", weights=None)
    open_network((param, data))
    for other in (tmp_path, tmp_path / "missing.bin"):
        with pytest.raises(ConversionError, match="ncnn does not load the network"):
            open_network((param, other))


def test_blobs_that_are_not_there_are_refused(tmp_path):
    files = network(tmp_path)
    with open_network(files) as runner, pytest.raises(ConversionError, match="'nowhere'"):
        runner.infer_blobs(feed(), ["nowhere"])
    with NcnnRunner(*files, [INPUT], [OUTPUT, OUTPUT]) as runner, pytest.raises(ConversionError, match="'out1'"):
        runner.infer(feed())
    other = TensorSpec("z", (1, 1))
    with NcnnRunner(*files, [INPUT, other], [OUTPUT]) as runner, pytest.raises(ConversionError, match="'in1'"):
        runner.infer({**feed(), "z": np.zeros((1, 1), np.float32)})


BRANCHES = (
    "ReLU relu 1 1 in0 r",
    "Split split 1 2 r r_a r_b",
    "AbsVal abs 1 1 r_a a",
    "BinaryOp sum 2 1 a r_b s 0=0",
    "Convolution conv 1 1 s out0 0=1 1=1 5=0 6=2",
)


@pytest.mark.parametrize("mode", MODES)
def test_each_blob_from_what_those_before_it_should_hold(tmp_path, mode):
    """The same as each layer in a run of its own; what is recorded is not what the network computes."""
    shapes = {"in0": (2, 3, 4), "r": (2, 3, 4), "s": (2, 3, 4), "out0": (1, 3, 4)}
    recorded = {blob: feed(1, *shape, seed=seed)["x"][0] for seed, (blob, shape) in enumerate(shapes.items())}
    sources = {"r": ("in0",), "a": ("r",), "s": ("r",), "out0": ("s",)}
    with open_network(network(tmp_path, *BRANCHES), mode=mode) as runner:
        found = dict(runner.infer_each(recorded, list(sources)))
        for blob, needed in sources.items():
            alone = runner.infer_between({source: recorded[source] for source in needed}, [blob])[blob]
            np.testing.assert_array_equal(found[blob], alone)
    if mode == "fp32":
        np.testing.assert_array_equal(found["s"], np.abs(recorded["r"]) + recorded["r"])


def test_what_is_recorded_of_no_blob_is_refused(tmp_path):
    with (
        open_network(network(tmp_path, *BRANCHES)) as runner,
        pytest.raises(ConversionError, match="'nowhere'"),
    ):
        list(runner.infer_each({"nowhere": feed()["x"][0]}, ["r"]))
