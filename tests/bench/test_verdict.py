"""Rows in, sentences out: no clock, no kernel."""

from __future__ import annotations

import pytest

from dwca_export.bench.verdict import best, verdict

LAYER = "64x56x56 k5 s1"
JITTER = (0.99, 1.0, 1.01, 0.995, 1.005) * 4
WILD = (0.5, 2.0, 0.7, 1.6, 1.0) * 4


def row(name, us=None, *, error=1.0, bound=40.0, jitter=JITTER, **facts):
    found = {"name": name, "layer": LAYER, "error_epsilons": error, "error_bound_epsilons": bound}
    found["is_right"] = error is not None and error <= bound
    if us is None:
        return {"name": name, "layer": LAYER, "unavailable": "not available here", **facts}
    return found | {"p50_us": us, "samples_us": [us * factor for factor in jitter]} | facts


def stock(us=180.0, *, changes=False, dense=True, **facts):
    proof = {"winograd_changes_bits": changes, "winograd_changes_bits_of_dense": dense}
    ratio = {"ratio": 1.001, "ratio_low": 0.99, "ratio_high": 1.01}
    return [row("ncnn", us, **facts), row("ncnn, Winograd off", us, **proof, **ratio, **facts)]


def said(rows, **options):
    return " ".join(verdict(rows, **options))


def test_ncnn_has_no_winograd():
    text = said(stock())
    assert f"{LAYER}: ncnn does not use Winograd" in text
    assert "stays the same to the last bit" in text
    assert "the same kernel measured again, it takes 1.00 times (0.99 to 1.01) as long" in text


def test_a_winograd_in_ncnn_would_be_seen():
    assert "ncnn does use Winograd" in said(stock(changes=True))


def test_a_switch_that_switches_nothing_proves_nothing():
    text = said(stock(dense=False))
    assert "not known" in text
    assert "does not use" not in text


def test_outputs_that_differ_each_time_prove_nothing():
    assert "something else each time" in said(stock(changes=None))


def test_a_wrong_ncnn_proves_nothing():
    text = said(stock(error=1e9))
    assert "computes something wrong" in text
    assert "does not use" not in text


def test_what_was_not_measured_is_not_known():
    text = said([row("ncnn"), row("ncnn, Winograd off", unavailable="it does not load")])
    assert "not known: it does not load" in text
    assert "none is best" in text


def test_winograd_between_direct_and_ncnn():
    text = said([*stock(180), row("direct", 80), row("winograd_1d F(2,5)", 140), row("winograd_1d F(4,5)", 120)])
    assert "Winograd would not be the fastest here: at its best, winograd_1d F(4,5), it takes 1.50 times" in text
    assert "as long as the direct kernel and 0.67 times" in text
    assert "the best kernel is direct: 80 us, 2.25 times" in text


def test_winograd_ahead():
    text = said([*stock(180), row("direct", 80), row("winograd_1d F(4,5)", 60)])
    assert "Winograd would be faster here" in text
    assert "the best kernel is winograd_1d F(4,5)" in text


def test_differences_within_the_noise_are_none():
    text = said([*stock(100, jitter=WILD[::-1]), row("direct", 100, jitter=WILD), row("winograd_1d F(4,5)", 99)])
    assert "makes no difference that is certain" in text


def test_a_best_kernel_that_is_hardly_ahead():
    text = said([row("ncnn", 100, jitter=WILD[::-1]), row("direct", 99, jitter=WILD)])
    assert "the best kernel is direct: 99 us, not for certain faster" in text


@pytest.mark.parametrize("error", [1e6, None])
def test_a_fast_wrong_kernel_is_never_the_best(error):
    wrong = row("winograd_2d F(4x4,5x5)", 1.0, error=error)
    rows = [*stock(180), row("direct", 80), row("winograd_1d F(4,5)", 120), wrong]
    assert best(rows)["name"] == "direct"
    text = said(rows)
    assert "the best kernel is direct" in text
    assert "winograd_2d F(4x4,5x5) is wrong and does not count, however fast" in text
    assert "at its best, winograd_1d F(4,5)" in text


def test_without_a_right_kernel_none_is_best():
    rows = [*stock(180, error=1e9), row("direct", 80, error=1e9)]
    assert best(rows) is None
    assert "none is best" in said(rows)


def test_all_winograd_kernels_wrong():
    text = said([*stock(180), row("direct", 80), row("winograd_1d F(4,5)", 10, error=1e5)])
    assert "no Winograd kernel can be judged: its error is 1e+05 epsilons" in text


def test_a_layer_without_winograd_kernels():
    assert "no Winograd kernel was measured" in said([*stock(180), row("direct", 80)])


def test_rows_that_repeat_a_kernel_do_not_win():
    rows = [row("ncnn", 180), row("ncnn, Winograd off", 10), row("auto", 20, algorithm="direct"), row("direct", 80)]
    assert best(rows)["name"] == "direct"


def test_the_cost_of_the_block():
    rows = [*stock(), row("block 3x3", 300, kind="block"), row("block 5x5 + attention", 630, kind="block")]
    text = said(rows)
    assert "a block with 5x5 and attention takes 2.10 times" in text
    assert "as long as its 3x3 baseline: 630 us against 300 us" in text
    assert best(rows)["name"] == "ncnn"


def test_a_block_that_was_not_measured():
    rows = [*stock(), row("block 3x3", kind="block", unavailable="interrupted")]
    assert "what the DWCA block costs is not known: interrupted" in said(rows)


def test_without_blocks_nothing_is_said_of_them():
    assert "block" not in said(stock())


def test_each_layer_is_judged_by_itself():
    other = [{**one, "layer": "32x14x14 k3 s2"} for one in (row("ncnn", 50), row("direct", 60))]
    sentences = verdict([row("ncnn", 180), row("direct", 80), *other])
    assert any("64x56x56" in one and "best kernel is direct" in one for one in sentences)
    assert any("32x14x14" in one and "best kernel is ncnn" in one for one in sentences)


def test_without_times_nothing_is_called_faster():
    rows = [{**one, "samples_us": None, "p50_us": None, "ratio": None} for one in stock()]
    text = said([*rows, {**row("direct", 80), "samples_us": None}])
    assert "does not use Winograd" in text
    assert "none is best" in text
    assert "measured again" not in text


def test_few_rounds_are_said_to_be_few():
    text = said([row("ncnn", 100, jitter=(1.0, 1.0)), row("direct", 50, jitter=(1.0, 1.0))])
    assert "not for certain faster (2.00 times (too few rounds to say how certain that is)) than ncnn" in text
