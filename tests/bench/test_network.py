from __future__ import annotations

import numpy as np
import pytest
from tiny_target import bundle, param

from dwca_export.bench.network import Network, computing_layers
from dwca_export.bench.target import open_target
from dwca_export.bench.variants import Variant
from dwca_export.bench.work import is_depthwise, misfit, moved_bytes, multiply_adds
from dwca_export.bench.worker import Worker
from dwca_export.errors import ConversionError
from dwca_export.ncnn.param import Layer


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return open_target(bundle(tmp_path_factory.mktemp("network")))


@pytest.fixture(scope="module")
def sizes(target):
    with Network(target, Variant(), keep_blobs=True) as network:
        return network.blob_sizes()


@pytest.mark.parametrize(
    "variant",
    [Variant(), Variant(threads=2), Variant(winograd=False), Variant(packing=False), Variant(sgemm=False)],
    ids=lambda variant: variant.name,
)
def test_every_variant_computes_the_recorded_outputs(target, variant):
    with Worker(lambda: Network(target, variant), "tiny", timeout=60) as worker:
        for found, expected in zip(worker.ask("outputs"), target.expected, strict=True):
            assert np.allclose(found["out0"], expected["out0"], rtol=1e-4, atol=1e-4)


def test_timing_the_layers_leaves_the_network_right(target):
    with Network(target, Variant()) as network:
        times = network.time_layers()
        assert network.time_once() > 0
        assert np.allclose(network.outputs()[0]["out0"], target.expected[0]["out0"], rtol=1e-4, atol=1e-4)
    assert len(times) == len(computing_layers(target.param)) == 6
    assert all(seconds >= 0 for seconds in times)


def digest(target, variant):
    with Network(target, variant, keep_blobs=True) as network:
        return network.digest()


def test_a_digest_tells_kernels_that_compute_otherwise(target):
    assert digest(target, Variant()) == digest(target, Variant())
    assert digest(target, Variant()) != digest(target, Variant("bf16-storage"))


def test_what_does_not_load_is_an_error(target, tmp_path):
    broken = open_target(param(tmp_path), [(1, 3, 20, 12)])
    (tmp_path / "net.bin").write_bytes(b"cut")
    with pytest.raises(ConversionError, match="does not load"):
        Network(broken, Variant())


def test_blobs_are_measured_as_they_lie(sizes):
    assert sizes["in0"] == ((3, 20, 12), 3 * 20 * 12 * 4)
    assert sizes["b"] == ((16, 20, 12), 16 * 20 * 12 * 4)
    assert sizes["out0"] == ((10,), 40)


def test_work_is_counted(target, sizes):
    layers = {layer.name: layer for layer in computing_layers(target.param)}
    plane = 20 * 12
    assert multiply_adds(layers["conv"], sizes) == 3 * 16 * 9 * plane
    assert multiply_adds(layers["depthwise"], sizes) == 16 * 25 * plane
    assert multiply_adds(layers["head"], sizes) == 160
    assert multiply_adds(layers["times"], sizes) is None
    assert moved_bytes(layers["depthwise"], sizes) == 4 * (2 * 16 * plane + 400)
    assert moved_bytes(layers["times"], sizes) == 4 * 3 * 16 * plane


def test_a_deconvolution_works_at_every_position_of_its_input():
    layer = Layer("Deconvolution", "up", ("a",), ("b",), {0: "4", 1: "2", 3: "2", 6: "128"})
    assert multiply_adds(layer, {"a": ((8, 5, 5), 800), "b": ((4, 10, 10), 1600)}) == 128 * 25


def test_an_inner_product_of_a_matrix_works_on_every_row():
    layer = Layer("InnerProduct", "head", ("a",), ("b",), {0: "4", 2: "32"})
    assert multiply_adds(layer, {"a": ((7, 8), 224), "b": ((7, 4), 112)}) == 7 * 32


@pytest.mark.parametrize(
    ("params", "depthwise"),
    [
        ({0: "16", 1: "5", 6: "400", 7: "16"}, True),
        ({0: "16", 1: "5", 6: "800", 7: "8"}, False),  # groups of two channels
        ({0: "16", 1: "5", 6: "400", 7: "16", 19: "1"}, False),  # a blob brings the weights
    ],
)
def test_which_layers_are_depthwise(params, depthwise):
    assert is_depthwise(Layer("ConvolutionDepthWise", "c", ("a",), ("b",), params)) is depthwise
    assert not is_depthwise(Layer("Convolution", "c", ("a",), ("b",), params))


@pytest.mark.parametrize(
    ("layer", "shape", "fits"),
    [
        (("Convolution", {0: "4", 1: "3", 6: "108"}), (3, 8, 8), True),
        (("Convolution", {0: "4", 1: "3", 6: "108"}), (4, 8, 8), False),
        (("ConvolutionDepthWise", {0: "4", 1: "3", 6: "72", 7: "2"}), (4, 8, 8), True),
        (("ConvolutionDepthWise", {0: "4", 1: "3", 6: "72", 7: "2"}), (2, 8, 8), False),
        (("InnerProduct", {0: "4", 2: "32"}), (8,), True),
        (("InnerProduct", {0: "4", 2: "32"}), (5, 8), True),
        (("InnerProduct", {0: "4", 2: "32"}), (2, 2, 2), True),
        (("InnerProduct", {0: "4", 2: "32"}), (7,), False),
        (("Sigmoid", {}), (7,), True),
    ],
)
def test_weights_that_do_not_fit_are_seen(layer, shape, fits):
    kind, params = layer
    assert (misfit(Layer(kind, "a", ("a",), ("b",), params), {"a": (shape, 0)}) == "") is fits
