from __future__ import annotations

import pytest

from dwca_export.report.precision_text import fix_text, ranges_text

FINDING = {
    "fault": "overflow",
    "module": "stem.conv",
    "layer": "conv_1",
    "value": 131008.0,
    "headroom": -1.0,
    "modes": ["fp16-storage", "fp16-arithmetic"],
    "remedy": "keep it in fp32",
}
LAYER = {"module": "stem.conv", "blob": "7", "type": "Convolution", "largest": 5.0, "sums": 9.0, "headroom": 12.8}
FIX = {
    "mode": "bf16-storage",
    "mask": 4,
    "layers": [{"layer": "conv_1", "module": "stem.conv", "kernel": "fast", "unmasked": "faster"}],
    "computing": 20,
    "converters": 1,
    "trials": 7,
    "faults": [],
    "bundle": "/new_ncnn_model",
}


def ranges(findings=(), layers=(LAYER,)):
    return ranges_text({"samples": 3, "findings": list(findings), "layers": list(layers)})


def test_a_finding_names_module_layer_number_modes_and_remedy():
    lines = ranges([FINDING]).splitlines()
    assert lines[0] == "fp16's range, on 3 samples: 1 finding"
    assert lines[1] == "overflow: stem.conv (ncnn layer conv_1): 1.31e+05, 1.0 bits beyond fp16's largest"
    assert lines[2:4] == ["  in fp16-storage and fp16-arithmetic", "  -> keep it in fp32"]


@pytest.mark.parametrize(
    ("headroom", "words"), [(1.5, "1.5 bits below"), (-1.5, "1.5 bits beyond"), (None, "1.31e+05\n")]
)
def test_headroom_has_a_side(headroom, words):
    assert words in ranges([{**FINDING, "headroom": headroom}])


def test_what_is_not_finite_is_said():
    assert "not finite" in ranges([{**FINDING, "value": None, "headroom": None}])


def test_without_findings_the_tightest_layers_are_shown():
    loose = [{**LAYER, "headroom": 20.0 + index, "module": f"m{index}"} for index in range(5)]
    text = ranges(layers=[*loose, LAYER, {**LAYER, "headroom": None, "module": "zeros"}])
    assert "no findings" in text
    assert "stem.conv (Convolution): up to 5, sums up to 9, headroom 12.8 bits" in text
    assert "zeros" not in text
    assert "m4" not in text


def test_many_findings_are_counted():
    text = ranges([{**FINDING, "layer": f"conv_{index}"} for index in range(14)])
    assert "and 4 more" in text
    assert "conv_13" not in text


def test_a_fix_says_what_it_costs():
    lines = fix_text(FIX).splitlines()
    assert "1 of 20 layers get 31=4" in lines[0]
    assert lines[1] == "  stem.conv (ncnn layer conv_1): faster -> fast"
    assert lines[-1] == "written: /new_ncnn_model"


def test_no_fix_is_no_bundle():
    text = fix_text({**FIX, "layers": [], "bundle": None})
    assert "passes as it is" in text
    assert "written:" not in text


def test_names_cannot_write_to_the_terminal():
    assert "\x1b" not in ranges([{**FINDING, "module": "\x1b[2J"}])
