from __future__ import annotations

from dataclasses import replace

import pytest
from planted_system import quiet_machine

from dwca_export.bench.conditions import read_conditions, usable_cpus
from dwca_export.bench.machine import read_machine
from dwca_export.bench.processes import Activity, Process
from dwca_export.bench.remarks import Course, about_samples, after_measuring, before_measuring
from dwca_export.bench.schedule import Samples

STEADY = [1.0 + 0.0001 * (n % 7) for n in range(100)]


@pytest.fixture
def machine(tmp_path):
    return replace(read_machine(quiet_machine(tmp_path), "x86_64"), cores=len(usable_cpus()))


@pytest.fixture
def conditions(tmp_path):
    return replace(read_conditions(quiet_machine(tmp_path), lambda _: None), others=Activity((), 0.0, 0.0))


def names(remarks):
    return {remark.name: remark.unstable for remark in remarks}


def test_a_quiet_machine_gives_no_cause(machine, conditions):
    assert before_measuring(machine, conditions, 1, None) == ()
    assert after_measuring(conditions, conditions, Course(2000.0, 1990.0, (), 0.0)) == ()
    assert about_samples({"a": Samples("a", tuple(STEADY))}) == ()


@pytest.mark.parametrize(
    ("changes", "name", "unstable"),
    [
        ({"governors": ("schedutil",)}, "governor", True),
        ({"governors": ("performance", "powersave")}, "governor", True),
        ({"throttling": ("Processor at step 2",)}, "throttled", True),
        ({"celsius": {"cpu": 85.0}}, "hot", False),
        ({"load": 99.0}, "load", False),
        ({"quota": 0.5}, "quota", True),
        ({"others": Activity((Process(7, "make", 0.9),), 0.9)}, "busy", True),
        ({"others": Activity((Process(7, "make", 0.9),), 1.9)}, "busy_outside", True),
    ],
)
def test_what_makes_a_machine_unfit(machine, conditions, changes, name, unstable):
    remarks = before_measuring(machine, replace(conditions, **changes), 1, None)
    assert names(remarks)[name] is unstable
    assert all(remark.what and remark.advice for remark in remarks)


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"emulated": "the process is qemu"}, "emulated"), ({"virtual": True}, "virtual"), ({"cores": 4096}, "affinity")],
)
def test_what_the_machine_itself_gives_cause_for(machine, conditions, changes, name):
    assert name in names(before_measuring(replace(machine, **changes), conditions, 1, None))


@pytest.mark.parametrize(("other", "text"), [(123, "(process 123)"), (0, "another dwca-bench is measuring")])
def test_two_at_once(machine, conditions, other, text):
    (remark,) = before_measuring(machine, conditions, 1, other)
    assert remark.name == "two_at_once"
    assert remark.unstable
    assert text in str(remark)


@pytest.mark.parametrize(
    ("after", "course", "name"),
    [
        ({"throttled": 10_000}, Course(), "throttled"),
        ({}, Course(throttling=("Processor at step 1",)), "throttled"),
        ({}, Course(first_mhz=2000.0, last_mhz=1500.0), "clock_fell"),
        ({}, Course(stolen=0.05), "stolen"),
    ],
)
def test_what_happened_meanwhile(conditions, after, course, name):
    assert names(after_measuring(conditions, replace(conditions, **after), course)) == {name: True}


def test_samples_that_scatter_jump_or_drift_are_named():
    noisy = Samples("noisy", tuple(1.0 + 0.2 * (n % 5) for n in range(100)))
    jumping = Samples("jumping", (*STEADY[:95], *[7.0] * 5))
    drifting = Samples("drifting", tuple(STEADY), steady=False)
    found = {one.name: one for one in about_samples({one.name: one for one in (noisy, jumping, drifting)})}
    assert set(found) == {"noise", "outliers", "not_steady"}
    assert "noisy (14%)" in found["noise"].what
    assert "jumping (5 of 100, as far as 7.0 times)" in found["outliers"].what
    assert found["not_steady"].what.endswith("in drifting")


def test_the_percentile_of_few_rounds_is_no_percentile():
    assert names(about_samples({"a": Samples("a", tuple(STEADY[:99]))})) == {"few_rounds": False}


def test_cases_without_times_are_passed_over():
    assert about_samples({"a": Samples("a", fault="crashed")}) == ()
