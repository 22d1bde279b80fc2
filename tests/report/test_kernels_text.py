"""The report of a measurement of kernels: from a document, without measuring."""

from __future__ import annotations

import copy

import pytest

from dwca_export.report.kernels_text import kernels_text

LAYER = "64x56x56 k5 s1"


def row(name, us, **more):
    ratio = us / 180
    times = {"p50_us": us, "p90_us": us, "mad_us": 1.0, "ratio": ratio, "ratio_low": ratio, "ratio_high": ratio}
    facts = {"max_error": 1e-6, "error_epsilons": 2.0, "error_bound_epsilons": 40.0, "is_right": True, "gflops": 28.0}
    return {"name": name, "layer": LAYER, "sources": [], "unavailable": None, **times, **facts, **more}


def without(name, why, **more):
    nothing = dict.fromkeys(("p50_us", "p90_us", "mad_us", "ratio", "ratio_low", "ratio_high", "max_error"))
    return {"name": name, "layer": LAYER, "sources": [], "unavailable": why, **nothing, **more}


DOCUMENT = {
    "target": {"name": "given layers"},
    "settings": {"threads": 1, "storage": "fp32", "arithmetic": "fp32"},
    "machine": {"ncnn": "1.0", "cpu": "One CPU"},
    "complete": True,
    "emulated": False,
    "notes": ["a note"],
    "rows": [
        row("ncnn", 180.0),
        row("direct", 80.0, percent_of_peak=61.7, percent_of_bandwidth=20.2),
        row("auto", 80.5, algorithm="direct"),
        row("winograd_2d F(4x4,5x5)", 10.0, is_right=False, error_epsilons=None, max_error=None),
        without("generic", "not today"),
        without("winograd_1d F(2,5)", "not today"),
    ],
    "warnings": [{"what": "hot", "advice": "cool it"}],
    "verdict": ["the best kernel is direct"],
}


def text(width=200, **changes):
    return kernels_text({**DOCUMENT, **changes}, width=width)


def line_of(name, said):
    (line,) = [line for line in said.splitlines() if line.startswith(name)]
    return line


def test_a_table_for_the_layer():
    said = text()
    assert "given layers: ncnn 1.0 on One CPU; 1 thread, fp32 storage, fp32 arithmetic" in said
    assert line_of("direct", said).split() == [
        *("direct", "80.0", "80.0", "1.0", "0.444", "0.444", "to", "0.444"),
        *("1.0e-06", "2", "40", "28.0", "62", "20"),
    ]
    assert line_of("auto = direct", said)


def test_a_wrong_kernel_is_marked():
    assert line_of("winograd_2d", text()).startswith("winograd_2d F(4x4,5x5) WRONG")
    assert text().count("WRONG") == 1


def test_what_is_not_available_is_said_once_for_each_reason():
    assert "not available here: generic, winograd_1d F(2,5): not today\n" in text()


def test_how_others_were_timed_is_said_once():
    rows = [row("torch", 300.0, note="with the call"), row("torch, channels last", 200.0, note="with the call")]
    assert text(rows=rows).count("\ntorch, torch, channels last: with the call\n") == 1


def test_notes_warnings_and_verdict_come_last():
    assert text().splitlines()[-3:] == ["note: a note", "warning: hot: cool it", "verdict: the best kernel is direct"]


def test_each_layer_has_its_table():
    rows = copy.deepcopy(DOCUMENT["rows"][:2])
    for one in rows:
        one["layer"] = "32x14x14 k3 s2"
        one["sources"] = ["a", "b", "c", "d"]
    said = text(rows=[*DOCUMENT["rows"], *rows])
    assert "\n64x56x56 k5 s1\n" in said
    assert "\n32x14x14 k3 s2 (a, b and 2 more)\n" in said


def test_an_emulator_has_errors_and_no_times():
    times = dict.fromkeys(("p50_us", "p90_us", "mad_us", "ratio", "ratio_low", "ratio_high"))
    rows = [{**DOCUMENT["rows"][1], **times, "unavailable": "times of an emulator are none"}]
    said = text(rows=rows, emulated=True)
    assert "1.0e-06" in line_of("direct", said)
    assert "not available here" not in said


def test_few_rounds_are_said_to_be_few():
    assert "too few rounds" in text(rows=[row("ncnn", 180.0, ratio_low=None, ratio_high=None)])


@pytest.mark.parametrize("width", [40, 80, 200])
def test_control_characters_do_not_reach_the_terminal(width):
    assert "\x1b" not in text(width, target={"name": "evil\x1b[2J"})
