from __future__ import annotations

import pytest
from planted_system import quiet_machine
from tiny_target import bundle

from dwca_export.bench import layers as layers_module
from dwca_export.bench import session as session_module
from dwca_export.bench.layers import bench_layers
from dwca_export.bench.session import Settings, open_session
from dwca_export.bench.target import open_target
from dwca_export.bench.variants import Variant


class Limits:
    multiply_adds = 1e11
    bandwidth = 1e10


class Roofline:
    def limits(self, bytes_):
        assert bytes_ & (bytes_ - 1) == 0
        return Limits()


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(session_module, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(layers_module, "_roofline", lambda: (Roofline(), ""))
    target, root = open_target(bundle(tmp_path)), quiet_machine(tmp_path / "root")

    def measured(variant=Variant(), checkpoint=None, root=root):  # noqa: B008  it is frozen
        with open_session(Settings(rounds=6, seconds=0), root=root, sleep=lambda _: None) as session:
            return bench_layers(target, variant, session, checkpoint)

    return measured


def test_every_layer_that_computes_has_a_row(run):
    document = run()
    rows = {row["name"]: row for row in document["rows"]}
    assert list(rows) == ["conv", "depthwise", "gate", "times", "mean", "head"]
    assert [name for name, row in rows.items() if row["depthwise"]] == ["depthwise"]
    assert rows["depthwise"]["type"] == "ConvolutionDepthWise"
    assert rows["depthwise"]["shape"] == [16, 20, 12]
    assert rows["depthwise"]["multiply_adds"] == 16 * 25 * 20 * 12
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert document["depthwise"] == {"layers": 1, "share": rows["depthwise"]["share"]}
    assert all(row["rounds"] == 6 for row in rows.values())


def test_rates_follow_from_time_and_work(run):
    row = run()["rows"][0]
    seconds = row["p50_us"] / 1e6
    assert row["gflops"] == pytest.approx(2 * row["multiply_adds"] / seconds / 1e9)
    assert row["gbytes_per_second"] == pytest.approx(row["bytes"] / seconds / 1e9)
    assert row["percent_of_peak"] == pytest.approx(100 * row["multiply_adds"] / seconds / 1e11)
    assert row["percent_of_bandwidth"] == pytest.approx(100 * row["bytes"] / seconds / 1e10)


def test_two_threads_have_two_cores(run):
    row = run(Variant(threads=2))["rows"][0] if len(layers_module.usable_cpus()) > 1 else pytest.skip("one CPU")
    assert row["percent_of_peak"] == pytest.approx(100 * row["multiply_adds"] / (row["p50_us"] / 1e6) / 2e11)


def test_the_sum_stands_beside_the_whole(run):
    document = run()
    assert document["whole"]["p50_us"] > 0
    assert document["sum"]["ratio"] > 0
    assert len(document["sum"]["samples_us"]) == len(document["whole"]["samples_us"]) == 6
    total = [sum(column) for column in zip(*(row["samples_us"] for row in document["rows"]), strict=True)]
    assert total == pytest.approx(document["sum"]["samples_us"], abs=0.01)


def test_without_a_roofline_the_columns_are_empty_and_the_reason_is_told(run, monkeypatch):
    monkeypatch.setattr(layers_module, "_roofline", lambda: (None, "there is no native library"))
    document = run()
    assert {row["percent_of_peak"] for row in document["rows"]} == {None}
    assert document["notes"][-1] == "no percent of the peak: there is no native library"
    assert document["rows"][0]["gflops"] > 0


def test_an_interrupt_keeps_what_was_measured(run):
    kept = []

    def interrupt(document):
        kept.append(document)
        if len(kept) == 2:
            raise KeyboardInterrupt

    document = run(checkpoint=interrupt)
    assert not document["complete"]
    assert [row["rounds"] for row in document["rows"]] == [2] * 6


def test_under_emulation_there_are_no_times(run, tmp_path):
    root = tmp_path / "root"
    (root / "proc/self").mkdir()
    (root / "proc/self/comm").write_text("qemu-aarch64\n")
    document = run(root=root)
    assert document["emulated"]
    assert document["verdict"] == []
    rows = [*document["rows"], document["whole"], document["sum"]]
    assert {row["p50_us"] for row in rows} == {None}
    assert {row["gflops"] for row in document["rows"]} == {None}
    assert document["depthwise"] == {"layers": 1, "share": None}
