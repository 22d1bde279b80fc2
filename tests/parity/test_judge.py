from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dwca_export.errors import ParityError
from dwca_export.parity.judge import compare
from dwca_export.parity.tolerances import TOLERANCES

SIZE = 1000


def ones(**outputs):
    return {"y": np.ones((1, SIZE), np.float64), **outputs}


def judged(expected, actual, tolerance="fp32"):
    return compare(("torch", expected), ("ncnn", actual), tolerance)


def spread(error):
    """An error of this relative L2 norm, the same for all elements."""
    return {"y": ones()["y"] * (1 + error)}


def peak(error):
    """One element that is wrong by this part of the largest."""
    wrong = ones()["y"].copy()
    wrong[0, 7] += error
    return {"y": wrong}


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_the_limit_of_the_l2_error(tolerance):
    limit = TOLERANCES[tolerance].relative_l2
    assert judged([ones()], [spread(limit * (1 - 1e-6))], tolerance).passed
    verdict = judged([ones()], [spread(limit * (1 + 1e-6))], tolerance)
    assert not verdict.passed
    assert "relative L2 error" in verdict.faults[0]
    assert f"({tolerance} tolerance)" in verdict.faults[0]


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_the_limit_of_the_largest_error(tolerance):
    limit = TOLERANCES[tolerance].relative_max
    assert judged([ones()], [peak(limit * (1 - 1e-6))], tolerance).passed
    verdict = judged([ones()], [peak(limit * (1 + 1e-6))], tolerance)
    assert "largest error" in verdict.faults[0]


@pytest.mark.parametrize("wrong", [spread, peak])
def test_exactly_at_the_limit_passes(wrong, monkeypatch):
    limit = 2.0**-14  # so that nothing is rounded on the way
    other = 1.0 if wrong is spread else limit
    names = ("relative_l2", "relative_max") if wrong is spread else ("relative_max", "relative_l2")
    numbers = dict(zip(names, (limit, other), strict=True))
    monkeypatch.setitem(TOLERANCES, "exact", replace(TOLERANCES["fp32"], **numbers))
    assert judged([ones()], [wrong(limit)], "exact").passed
    assert not judged([ones()], [wrong(limit + 2.0**-52)], "exact").passed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_fails(bad):
    assert "NaN or infinite" in judged([ones()], [peak(bad)]).faults[0]
    assert "NaN or infinite" in judged([peak(bad)], [peak(bad)]).faults[0]


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_numbers_too_large_to_measure_fail():
    huge = np.full((1, 4), 1e300)
    # The norms of both and of their difference are infinite.
    verdict = judged([{"y": huge}], [{"y": huge * (1 + 1e-10)}])
    assert np.isnan(verdict.measurements[0].relative_l2)
    assert verdict.measurements[0].relative_max < 1e-9
    assert not verdict.passed


def test_another_shape_fails():
    assert "shape [1000] instead of [1, 1000]" in judged([ones()], [{"y": np.ones(SIZE)}]).faults[0]


def test_missing_and_extra_outputs_fail():
    verdict = judged([ones(a=np.ones(3), b=np.ones(3))], [ones(b=np.ones(3), c=np.ones(3))])
    assert verdict.faults == ("output 'a' is missing", "output 'c' is not in the reference")
    assert [measurement.output for measurement in verdict.measurements] == ["y", "b"]


def test_every_sample_has_to_have_every_output():
    both = [ones(a=np.ones(3)), ones(a=np.ones(3))]
    one = [ones(a=np.ones(3)), ones()]
    assert judged(both, one).faults == ("output 'a' is missing",)
    assert judged(one, both).faults == ("output 'a' is not in the reference",)
    assert not judged(one, one).passed


def test_one_bad_sample_among_good_ones_fails():
    verdict = judged([ones()] * 5, [ones(), ones(), spread(0.1), ones(), ones()])
    assert verdict.measurements[0].relative_l2 == pytest.approx(0.1)
    assert not verdict.passed


@pytest.mark.parametrize(
    ("expected", "actual"), [([], []), ([], [ones()]), ([ones()], []), ([ones()], [ones()] * 2), ([{}], [{}])]
)
def test_nothing_to_compare_is_an_error(expected, actual):
    with pytest.raises(ParityError, match="nothing to compare") as caught:
        judged(expected, actual)
    assert caught.value.where == "torch -> ncnn"
    assert caught.value.exit_code == 5


def test_require():
    passed = judged([ones()], [ones()])
    assert passed.require() is passed
    assert (passed.reference, passed.candidate, passed.tolerance, passed.faults) == ("torch", "ncnn", "fp32", ())
    failed = judged([ones(a=np.ones(3))], [{"y": spread(0.5)["y"]}])
    with pytest.raises(ParityError) as caught:
        failed.require()
    assert caught.value.where == "torch -> ncnn"
    assert caught.value.exit_code == 5
    assert "output 'a' is missing; output 'y': relative L2 error 0.5 is above 0.0001" in caught.value.what


def test_zeros_are_compared_with_zeros_only():
    zeros = [{"y": np.zeros((1, 4))}]
    assert judged(zeros, zeros).passed
    assert not judged(zeros, [{"y": np.full((1, 4), 1e-30)}]).passed


def boxes_and_scores(layout, last=1.0):
    """Boxes in pixels beside scores, 84 values for 100 places, in a layout; the last class has scores up to `last`."""
    generator = np.random.default_rng(0)
    boxes = generator.uniform(0, 640, (4, 10, 10))
    scores = generator.uniform(0, 1, (80, 10, 10)) ** 8
    scores[-1] *= last
    return {"y": layout(np.concatenate([boxes, scores]).astype(np.float32))}


LAYOUTS = {
    "1 x 84 x 100": (lambda values: values.reshape(1, 84, 100), 1),
    "1 x 100 x 84": (lambda values: values.reshape(1, 84, 100).transpose(0, 2, 1), 2),
    "1 x 84 x 10 x 10": (lambda values: values[np.newaxis], 1),
    "1 x 10 x 10 x 84": (lambda values: values.transpose(1, 2, 0)[np.newaxis], 3),
    "1 x 84 x 2 x 5 x 10": (lambda values: values.reshape(1, 84, 2, 5, 10), 1),
}


@pytest.mark.parametrize(("tolerance", "last"), [("fp32", 0.05), ("fp16-weights", 1.0)])
@pytest.mark.parametrize(("layout", "axis"), LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("fault", ["zeros", "shuffled", "half"])
def test_a_small_channel_that_is_wrong_fails_beside_large_ones(layout, axis, fault, tolerance, last):
    right = boxes_and_scores(layout, last)
    wrong = {"y": right["y"].copy()}
    channel = (slice(None),) * axis + (83,)
    scores = right["y"][channel]
    shuffled = np.random.default_rng(1).permutation(scores.ravel()).reshape(scores.shape)
    wrong["y"][channel] = {"zeros": 0, "shuffled": shuffled, "half": scores / 2}[fault]
    verdict = judged([right], [wrong], tolerance)
    # The errors of the whole do not show it.
    assert verdict.measurements[0].relative_l2 < TOLERANCES[tolerance].relative_l2
    assert verdict.measurements[0].relative_max < TOLERANCES[tolerance].relative_max
    assert len(verdict.faults) == 1
    assert f"output 'y': channel 83 of axis {axis}: error" in verdict.faults[0]


@pytest.mark.parametrize(("layout", "axis"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_small_channel_that_is_right_passes(layout, axis):
    right = boxes_and_scores(layout)
    noise = np.random.default_rng(1).standard_normal(right["y"].shape) * 1e-6
    verdict = judged([right], [{"y": right["y"] * (1 + noise)}])
    assert verdict.passed
    assert verdict.measurements[0].channel.relative_l2 < 1e-5


@pytest.mark.parametrize(("layout", "axis"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_channel_of_nothing_but_rounding_passes(layout, axis):
    """What is zero in exact arithmetic is rounding in every backend, and another in each."""
    right = boxes_and_scores(layout)
    channel = (slice(None),) * axis + (83,)
    one, other = ({"y": right["y"].copy()} for _ in range(2))
    scale = 6e-8 * np.abs(right["y"]).max()
    for seed, outputs in enumerate((one, other)):
        shape = outputs["y"][channel].shape
        outputs["y"][channel] = np.random.default_rng(seed).standard_normal(shape) * scale
    assert judged([one], [other]).passed


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_the_limit_of_a_channels_error(tolerance, monkeypatch):
    limit = TOLERANCES[tolerance].channel_l2
    right = {"y": np.ones((1, 2, 16))}
    right["y"][0, 1] = 0.01
    for error, passes in ((limit * (1 - 1e-6), True), (limit * (1 + 1e-6), False)):
        wrong = {"y": right["y"].copy()}
        wrong["y"][0, 1] *= 1 + error
        assert judged([right], [wrong], tolerance).passed is passes
