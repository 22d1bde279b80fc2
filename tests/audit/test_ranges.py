from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hand_made import finish, graph, noise
from recorded_bundles import write_bundle

from dwca_export.audit.range_document import describe_ranges
from dwca_export.audit.ranges import LayerRange, RangeAudit, audit_ranges, findings_of, rounding_error

LINES = (
    "Input -> in0",
    "Convolution in0 -> first 0=8 1=3 4=1 5=1 6=216 9=1",
    "ConvolutionDepthWise first -> depthwise 0=8 1=3 4=1 5=1 6=72 7=8",
    "Pooling depthwise -> pooled 0=1 1=4 2=4 5=1",
    "InnerProduct pooled -> features 0=6 1=1 2=192 9=2 -23310=1,0.1",
)


def network(factors=None, lines=LINES):
    """Weights of some layers scaled by factors."""
    made = graph(*lines, taps={name: name for name in ("first", "depthwise", "pooled", "features")})
    weights = {
        name: tuple(replace(one, data=(one.data * np.float32((factors or {}).get(name, 0.2)))) for one in tensors)
        for name, tensors in made.weights.items()
    }
    return finish(replace(made, weights=weights))


def ranges(folder, factors=None, lines=LINES, sample=None):
    samples = [noise(3, 8, 8) if sample is None else sample]
    return audit_ranges(write_bundle(folder, network(factors, lines), samples))


def found(audit):
    return {(finding.fault, finding.layer) for finding in audit.findings}


def test_an_ordinary_network_is_left_alone(tmp_path):
    audit = ranges(tmp_path)
    assert audit.findings == ()
    assert [one.layer for one in audit.layers] == ["in0", "first", "depthwise", "pooled", "features"]
    assert all(one.headroom > 5 for one in audit.layers)


def test_a_layer_that_overflows_is_named_and_those_behind_it_are_not(tmp_path):
    audit = ranges(tmp_path, {"first": 1e5, "depthwise": 2e-6})
    overflows = {layer for fault, layer in found(audit) if fault == "overflow"}
    assert overflows == {"first"}
    finding = next(one for one in audit.findings if one.fault == "overflow")
    assert finding.value > 65504
    assert finding.headroom < 0
    assert finding.modes == ("fp16-storage", "fp16-arithmetic")
    assert "31=3" in finding.remedy


def test_the_torch_module_is_named(tmp_path):
    one = LayerRange("conv_1", "Convolution", "7", "stem.conv", 1e5, 1.0, np.inf)
    assert findings_of(one)[0].module == "stem.conv"
    assert findings_of(replace(one, module=""))[0].module == "7"


def test_sums_of_average_pooling_overflow_where_the_mean_does_not(tmp_path):
    """Sixteen numbers of up to 6000 each: a mean within the range, a sum beyond it."""
    lines = (LINES[0], "Pooling in0 -> pooled 0=1 1=4 2=4 5=1", "HardSwish pooled -> out 0=0.16666667 1=0.5")
    sample = np.full((3, 8, 8), 6000, np.float32)
    network = finish(graph(*lines, taps={"pooled": "pooled", "out": "out"}))
    audit = audit_ranges(write_bundle(tmp_path, network, [sample]))
    assert found(audit) == {("sum overflow", "pooled")}
    pooled = next(one for one in audit.layers if one.layer == "pooled")
    assert (pooled.largest, pooled.sums) == (6000, 96000)
    assert audit.findings[0].modes == ("fp16-arithmetic",)
    assert "31=1" in audit.findings[0].remedy


@pytest.mark.parametrize("pooling", ["4=1", "7=1 8=2"])
def test_pooling_that_sums_in_fp32_is_left_alone(tmp_path, pooling):
    lines = (LINES[0], f"Pooling in0 -> pooled 0=1 {pooling}", "HardSwish pooled -> out 0=0.16666667 1=0.5")
    network = finish(graph(*lines, taps={"pooled": "pooled"}))
    audit = audit_ranges(write_bundle(tmp_path, network, [np.full((3, 16, 16), 6000, np.float32)]))
    assert audit.findings == ()
    assert audit.layers[1].sums is None


def test_sums_that_cancel_are_found(tmp_path):
    """Products of 40000 and their negatives: the result is small, sums on the way are not."""
    made = graph("Input -> in0", "Convolution in0 -> out 0=1 1=1 5=0 6=4", taps={"out": "out"})
    weight = replace(made.weights["out"][0], data=np.array([4, 4, -4, -4], np.float32).reshape((1, 4, 1, 1)))
    network = finish(replace(made, weights={"out": (replace(weight, data=weight.data.reshape(WEIGHT)),)}))
    audit = audit_ranges(write_bundle(tmp_path, network, [np.full((4, 3, 3), 1e4, np.float32) + noise(4, 3, 3)]))
    assert found(audit) == {("sum overflow", "out")}
    assert audit.layers[1].largest < 100


WEIGHT = graph("Input -> in0", "Convolution in0 -> out 0=1 1=1 5=0 6=4").weights["out"][0].shape


def test_the_bound_on_sums_is_the_sum_of_all_magnitudes(tmp_path):
    network_ = network()
    audit = audit_ranges(write_bundle(tmp_path, network_, [noise(3, 8, 8)]))
    weights = {(one.layer, one.name): np.abs(one.data.astype(np.float64)) for one in network_.weights}
    with np.load(tmp_path / "golden.npz") as arrays:
        first, pooled = (np.abs(arrays[f"blob/{name}"].astype(np.float64)) for name in ("first", "pooled"))
    by_layer = {one.layer: one for one in audit.layers}
    padded = np.pad(first, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    depthwise = np.einsum("chwij,cij->chw", windows, weights["depthwise", "weight"].reshape(8, 3, 3))
    depthwise += weights["depthwise", "bias"].reshape(-1, 1, 1)
    assert by_layer["depthwise"].sums == pytest.approx(depthwise.max(), rel=1e-5)
    features = weights["features", "weight"].reshape(6, -1) @ pooled.ravel()
    assert by_layer["features"].sums == pytest.approx((features + weights["features", "bias"]).max(), rel=1e-5)


def test_numbers_too_small_for_fp16_are_found(tmp_path):
    audit = ranges(tmp_path, {"first": 1e-8, "depthwise": 1e7})
    assert ("underflow", "first") in found(audit)
    first = next(one for one in audit.layers if one.layer == "first")
    assert 0 < first.smallest < 2.0**-24


def test_weights_beyond_fp16_are_found(tmp_path):
    audit = ranges(tmp_path, {"first": 1e5}, sample=noise(3, 8, 8) * np.float32(1e-4))
    assert ("weight overflow", "first") in found(audit)


def test_little_headroom_is_said(tmp_path):
    audit = ranges(tmp_path, sample=noise(3, 8, 8) * np.float32(2e4 / 3))
    assert ("little headroom", "in0") in found(audit)
    assert not any(fault == "overflow" and layer == "in0" for fault, layer in found(audit))


@pytest.mark.parametrize("numbers", [(np.inf, 1.0, 1.0), (1.0, np.nan, 1.0), (np.nan, 1.0, None), (1.0, 1.0, np.inf)])
def test_what_is_not_finite_leaves_no_headroom(numbers):
    largest, sums, weight = numbers
    layer = LayerRange("conv_1", "Convolution", "7", "stem.conv", largest, 1.0, 0.0, sums, weight)
    assert layer.headroom == -np.inf
    assert describe_ranges(RangeAudit(1, (layer,), findings_of(layer)))["layers"][0]["headroom"] is None


def test_headroom_is_that_of_the_largest_number():
    layer = LayerRange("conv_1", "Convolution", "7", "stem.conv", 65504 / 8, 0.0, 0.0, 65504 / 2, None)
    assert layer.headroom == 1
    assert replace(layer, largest=0.0, sums=None).headroom == np.inf


def test_further_samples_count(tmp_path):
    folder = write_bundle(tmp_path, network(), [noise(3, 8, 8)])
    audit = audit_ranges(folder, ({"x": noise(1, 3, 8, 8) * np.float32(1e6)} for _ in range(2)))
    assert audit.samples == 3
    assert ("overflow", "in0") in found(audit)


def test_rounding_error():
    x = noise(1000)
    assert 1e-4 < rounding_error(x) < 3e-4
    assert rounding_error(x * np.float32(1e6)) == np.inf
    assert rounding_error(x * np.float32(1e-9)) == 1
    assert rounding_error(np.zeros(3, np.float32)) == 0
