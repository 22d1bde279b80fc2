from __future__ import annotations

import json

import pytest
from bench_documents import MACHINE, absent_row, model_document, model_row, samples

from dwca_export.bench.remarks import Remark
from dwca_export.bench.results import timed_row, unavailable_row
from dwca_export.bench.schedule import Samples


def test_a_row_has_figures_samples_and_the_ratio():
    row = timed_row("b", samples("b", 0.002, 1), samples("a"), emulated=False, threads=2)
    assert row["min_us"] <= row["p50_us"] <= row["p90_us"] <= row["p99_us"]
    assert row["p50_us"] == pytest.approx(2000, rel=0.05)
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
    assert row["ratio"] == pytest.approx(2, rel=0.05)
    assert (row["rounds"], row["threads"], row["unavailable"]) == (60, 2, None)
    assert len(row["samples_us"]) == 60


def test_times_of_an_emulator_are_left_out():
    row = timed_row("b", samples("b"), samples("a"), emulated=True, max_error=1e-6)
    assert row["unavailable"] == "times of an emulator are none"
    assert row["max_error"] == 1e-6
    assert {row[key] for key in row if key.endswith("_us") or key.startswith("ratio")} == {None}


def test_a_case_that_failed_says_why_and_keeps_its_times():
    row = timed_row("b", Samples("b", (0.1, 0.2), fault="ncnn crashed"), None, emulated=False)
    assert row["unavailable"] == "ncnn crashed"
    assert row["samples_us"] == [100000.0, 200000.0]


def test_a_case_without_a_round_is_not_available():
    assert timed_row("b", Samples("b"), None, emulated=False)["unavailable"] == "interrupted before its first round"


def test_of_few_rounds_no_interval_is_told():
    row = timed_row("b", Samples("b", (2.0, 2.0)), Samples("a", (1.0, 1.0)), emulated=False)
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (2.0, None, None)


def test_all_rows_have_the_same_keys():
    assert set(unavailable_row("a", "why")) == set(timed_row("a", samples(), None, emulated=False))


def test_the_document_is_json_and_has_its_keys():
    document = model_document(
        model_row(), absent_row(), verdict=["a"], remarks=[Remark("x", "what", "do", unstable=True)]
    )
    assert json.loads(json.dumps(document, allow_nan=False)) == json.loads(json.dumps(document))
    assert document["schema"] == "dwca-bench/1"
    assert document["kind"] == "model"
    assert document["warnings"] == [{"name": "x", "what": "what", "advice": "do", "unstable": True}]
    assert (document["complete"], document["emulated"], document["stable"]) == (True, False, False)
    assert document["machine"]["cpu"] == MACHINE.cpu


def test_emulation_is_a_fact_of_the_document():
    assert model_document(machine={"emulated": "qemu"})["emulated"] is True
