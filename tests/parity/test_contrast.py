"""How much outputs change between samples, and what that says of a network that ignores its input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.errors import ParityError
from dwca_export.parity.contrast import caveats, contrasts, require
from dwca_export.parity.judge import compare
from dwca_export.parity.tolerances import TOLERANCES


def samples(change, shape=(1, 50), count=3):
    """Outputs that change by this part of their size."""
    base, *others = (np.random.default_rng(seed).standard_normal(shape) for seed in range(count))
    base /= np.linalg.norm(base)
    return [{"y": base}, *({"y": base + change * other / np.linalg.norm(other)} for other in others)]


def contrast(outputs, *tolerances, constant=()):
    return contrasts(("torch", outputs), tolerances or ("fp32",), constant)


@given(st.floats(1e-7, 1), st.sampled_from(list(TOLERANCES)), st.integers(0, 2))
def test_unless_it_is_blind_no_constant_passes(change, tolerance, chosen):
    """The law: whichever right output a network returns for every input, the comparison refuses it."""
    outputs = samples(change)
    verdict = contrast(outputs, tolerance)[0].verdict
    passed = compare(("torch", outputs), ("ncnn", [outputs[chosen]] * len(outputs)), tolerance).passed
    assert verdict == "blind" or not passed


@pytest.mark.parametrize(("tolerance", "change"), [("fp32", 1e-5), ("fp16-weights", 1e-3)])
def test_what_the_comparison_lets_pass_is_blind(tolerance, change):
    """The fault that this is for: a constant network agrees within the tolerance."""
    outputs = samples(change)
    assert compare(("torch", outputs), ("ncnn", [outputs[0]] * 3), tolerance).passed
    found = contrast(outputs, tolerance)
    assert found[0].verdict == "blind"
    with pytest.raises(ParityError, match=r"output 'y' hardly changes .* a network that ignores its input") as caught:
        require(found)
    assert caught.value.where == "torch"
    assert "--images" in caught.value.hint
    assert ("fp16" in caught.value.hint) == (tolerance != "fp32")


@pytest.mark.parametrize(
    ("change", "verdict"), [(1e-4, "blind"), (2.1e-4, "weak"), (1.9e-2, "weak"), (2.1e-2, "strong"), (1, "strong")]
)
def test_the_limits(change, verdict):
    """Half of the change counts: a constant network can lie in the middle."""
    found = contrast(samples(change, count=2))
    assert found[0].verdict == verdict
    assert bool(caveats(found)) == (verdict in {"blind", "weak"})


def test_a_weak_proof_is_told_and_not_refused():
    found = contrast(samples(2e-3))
    assert require(found) == found
    assert caveats(found) == (
        "weak proof: output 'y' hardly changes between the inputs (by 1.0e-03 of its size, fp32 tolerance 0.0001); "
        "give --images on which it does",
    )


def test_one_line_for_each_output_with_the_weakest():
    found = contrast(samples(2e-3))[0]
    weaker = replace(found, reference="torch at 1x3x9x9", factor=2.0, relative_l2=2e-4)
    strong = replace(found, output="z", verdict="strong")
    assert caveats([found, weaker, strong]) == caveats([weaker])
    assert "2.0e-04" in caveats([found, weaker])[0]


def test_of_several_tolerances_the_widest_decides():
    outputs = samples(4e-3)
    assert contrast(outputs, "fp32")[0].verdict == "weak"
    both = contrast(outputs, "fp32", "fp16-weights")[0]
    assert (both.verdict, both.tolerance) == ("blind", "fp16-weights")


def test_a_channel_that_changes_is_enough():
    """Boxes on a grid beside scores: the whole hardly changes, and a network that ignores the input is caught."""
    outputs = []
    for seed in range(2):
        values = np.full((1, 5, 40), 640.0)
        values[0, 4] = np.random.default_rng(seed).uniform(0, 1, 40)
        outputs.append({"y": values})
    found = contrast(outputs)[0]
    assert found.relative_l2 / TOLERANCES["fp32"].relative_l2 < 10
    assert found.verdict == "strong"
    assert not compare(("torch", outputs), ("ncnn", [outputs[0]] * 2), "fp32").passed


def test_one_output_among_others_that_change():
    outputs = [{**one, "z": np.ones((1, 4))} for one in samples(1)]
    assert [one.verdict for one in contrast(outputs)] == ["strong", "blind"]
    with pytest.raises(ParityError, match="output 'z'"):
        require(contrast(outputs))


def test_constants_are_named_and_pass():
    outputs = [{**one, "strides": np.ones((1, 4))} for one in samples(1)]
    found = require(contrast(outputs, constant={"strides"}))
    assert caveats(found) == ("output 'strides' does not depend on the input; it was compared as a constant",)


def test_nothing_but_zeros_is_blind():
    assert contrast([{"y": np.zeros((1, 4, 16))}] * 2)[0].verdict == "blind"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_is_not_finite_fails(bad):
    outputs = samples(1, shape=(1, 4, 16))
    outputs[1]["y"][0, 2, 5] = bad
    with pytest.raises(ParityError, match="output 'y' holds NaN or infinity"):
        require(contrast(outputs))
