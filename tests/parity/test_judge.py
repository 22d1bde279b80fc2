from __future__ import annotations

import numpy as np
import pytest

from dwca_export.errors import ParityError
from dwca_export.parity.judge import compare
from dwca_export.parity.tolerances import TOLERANCES, Tolerance

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
    numbers = (limit, other) if wrong is spread else (other, limit)
    monkeypatch.setitem(TOLERANCES, "exact", Tolerance(*numbers, "a power of two"))
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
