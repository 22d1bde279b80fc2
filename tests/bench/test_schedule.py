from __future__ import annotations

import pytest

from dwca_export.bench.schedule import Case, is_steady, measure
from dwca_export.errors import ConversionError


class Clock:
    """Time that passes only when something is run, or rests."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.log.append("rest")

    def case(self, name, seconds, fails_at=None, error=None):
        """A case that takes `seconds`, or as many as a function of its number says."""
        count = 0

        def run():
            nonlocal count
            count += 1
            self.log.append(name)
            if count == fails_at:
                raise error
            taken = seconds(count) if callable(seconds) else seconds
            self.now += taken
            return taken

        return Case(name, run)


@pytest.fixture
def clock():
    return Clock()


def timed(clock, *cases, **options):
    return measure(cases, clock=clock, sleep=clock.sleep, **options)


def test_cases_take_turns(clock):
    found = timed(clock, clock.case("a", 1.0), clock.case("b", 2.0), min_rounds=3, min_seconds=0, max_warmup=2)
    assert clock.log == ["a", "b"] * 5
    assert list(found) == ["a", "b"]
    assert found["a"].seconds == (1.0,) * 3
    assert found["b"].seconds == (2.0,) * 3
    assert found["a"].warmup == (1.0,) * 2
    assert found["a"].complete


def test_the_rounds_go_on_for_the_minimum_time(clock):
    found = timed(clock, clock.case("a", 0.25), clock.case("b", 0.75), min_rounds=2, min_seconds=5, max_warmup=1)
    assert len(found["a"].seconds) == 10


def test_the_minimum_of_rounds_holds_however_long_they_take(clock):
    found = timed(clock, clock.case("a", 100.0), min_rounds=4, min_seconds=1, max_warmup=1)
    assert len(found["a"].seconds) == 4


def test_rest_does_not_count_as_time(clock):
    found = timed(clock, clock.case("a", 1.0), min_rounds=1, min_seconds=3, max_warmup=1, cooldown=60)
    assert clock.log == ["a", "rest", "a", "rest", "a", "rest", "a"]
    assert len(found["a"].seconds) == 3


def test_the_warm_up_ends_when_times_have_settled(clock):
    settling = clock.case("a", lambda count: 2.0 if count <= 7 else 1.0)
    found = timed(clock, settling, min_rounds=2, min_seconds=0, max_warmup_seconds=1000)
    assert found["a"].steady
    assert found["a"].seconds == (1.0, 1.0)
    assert 12 <= len(found["a"].warmup) < 40


def test_the_warm_up_of_what_never_settles_ends_and_says_so(clock):
    drifting = clock.case("a", lambda count: 1.1**count)
    found = timed(clock, drifting, clock.case("b", 1.0), min_rounds=1, min_seconds=0, max_warmup_seconds=1e9)
    assert len(found["a"].warmup) == 40
    assert not found["a"].steady
    assert found["b"].steady


def test_the_warm_up_has_a_limit_of_time(clock):
    found = timed(clock, clock.case("a", 3.0), min_rounds=1, min_seconds=0, max_warmup_seconds=5)
    assert len(found["a"].warmup) == 2
    assert not found["a"].steady


@pytest.mark.parametrize(
    ("times", "steady"),
    [
        ([1.0] * 10, True),
        ([1.0] * 9, False),  # not enough to say
        ([5.0] * 20 + [1.0] * 10, True),  # what was before does not count
        ([1.02] * 5 + [1.0] * 5, True),
        ([1.05] * 5 + [1.0] * 5, False),
        ([1.0, 1.4, 0.8, 1.2, 1.1, 1.0, 1.3, 0.9, 1.15, 1.2], True),  # noisy, but not drifting
    ],
)
def test_steadiness(times, steady):
    assert is_steady(times) is steady


def test_an_interrupt_keeps_what_was_measured(clock):
    stopped = clock.case("b", 1.0, fails_at=6, error=KeyboardInterrupt())
    found = timed(clock, clock.case("a", 1.0), stopped, min_rounds=50, max_warmup=2)
    assert (len(found["a"].seconds), len(found["b"].seconds)) == (4, 3)
    assert not found["a"].complete
    assert not found["b"].complete


def test_an_interrupt_while_warming_up_leaves_no_times(clock):
    found = timed(clock, clock.case("a", 1.0, fails_at=2, error=KeyboardInterrupt()))
    assert found["a"].seconds == ()
    assert not found["a"].complete


@pytest.mark.parametrize("fails_at", [1, 5])
def test_a_case_that_fails_ends_alone(clock, fails_at):
    failing = clock.case("a", 1.0, fails_at=fails_at, error=ConversionError("ncnn crashed"))
    found = timed(clock, failing, clock.case("b", 1.0), min_rounds=5, min_seconds=0, max_warmup=2)
    assert found["a"].fault == "ncnn crashed"
    assert not found["a"].complete
    assert len(found["b"].seconds) == 5
    assert found["b"].complete


def test_when_all_fail_it_ends(clock):
    failing = clock.case("a", 1.0, fails_at=3, error=ConversionError("ncnn crashed"))
    found = timed(clock, failing, min_rounds=5, max_warmup=2)
    assert found["a"].seconds == ()


def test_other_errors_are_not_hidden(clock):
    with pytest.raises(ZeroDivisionError):
        timed(clock, clock.case("a", 1.0, fails_at=1, error=ZeroDivisionError()))


def test_after_each_round_what_there_is_can_be_kept(clock):
    kept = []

    def keep(found):
        kept.append((len(found["a"].seconds), found["a"].complete))

    timed(clock, clock.case("a", 1.0), min_rounds=3, min_seconds=0, max_warmup=1, after_round=keep)
    assert kept == [(1, False), (2, False), (3, False)]
