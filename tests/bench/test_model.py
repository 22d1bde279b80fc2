from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from bench_documents import absent_row, model_row
from planted_system import quiet_machine
from tiny_target import bundle, param

from dwca_export.bench import model as model_module
from dwca_export.bench import session as session_module
from dwca_export.bench.model import bench_model, judge
from dwca_export.bench.network import Network
from dwca_export.bench.session import Settings, open_session
from dwca_export.bench.target import open_target
from dwca_export.bench.variants import Variant
from dwca_export.errors import ConversionError, UsageError

FIRST = Variant()
FEW = Settings(rounds=6, seconds=0)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return open_target(bundle(tmp_path_factory.mktemp("model")))


@pytest.fixture
def root(tmp_path):
    return quiet_machine(tmp_path / "root")


@pytest.fixture
def run(root, monkeypatch, tmp_path):
    """`run(target, *variants)`: measure on a machine that says that it is quiet; returns the document."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(session_module, "CHECKPOINT_SECONDS", 0.0)

    def measured(target, *variants, settings=FEW, checkpoint=None):
        with open_session(settings, root=root, sleep=lambda _: None) as session:
            return bench_model(target, variants, session, checkpoint)

    return measured


def by_name(document):
    return {row["name"]: row for row in document["rows"]}


def test_variants_are_measured_beside_the_first(target, run):
    document = run(target, FIRST, Variant("bf16-storage"), Variant(packing=False))
    rows = by_name(document)
    assert list(rows) == ["fp32", "bf16-storage", "fp32+no-packing"]
    assert document["complete"]
    for row in rows.values():
        assert row["rounds"] == 6
        assert row["p50_us"] > 0
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
        assert row["peak_rss_bytes"] > row["network_rss_bytes"] > 0
        assert row["weights_bytes"] == target.bins["fp32"].stat().st_size
    assert rows["fp32"]["ratio"] == 1
    assert rows["fp32"]["max_error"] < 1e-4
    assert rows["bf16-storage"]["max_error"] > 1e-4
    assert rows["bf16-storage"]["relative_l2"] < 0.1


def test_without_recorded_outputs_ncnn_without_its_tricks_is_the_reference(tmp_path, run):
    target = open_target(param(tmp_path), [(1, 3, 20, 12)])
    rows = by_name(run(target, FIRST, Variant(packing=False, sgemm=False, winograd=False)))
    assert rows["fp32"]["max_error"] < 1e-4
    assert rows["fp32+no-winograd+no-packing+no-sgemm"]["max_error"] == 0


@pytest.mark.parametrize(
    ("variant", "why"),
    [
        (Variant(weights="fp16"), "there are no fp16 weights"),
        (Variant(cores="little"), "all cores are of one kind"),
        (Variant(cores="big"), "all cores are of one kind"),
        (Variant("fp16-arithmetic"), "computes the same as fp16-storage"),
    ],
)
def test_what_this_machine_does_not_have_is_a_row_that_says_so(target, run, monkeypatch, variant, why):
    monkeypatch.setattr(model_module, "_has_two_kinds_of_cores", lambda: False)
    monkeypatch.setattr(model_module, "_digest", lambda *_: "the same")
    row = run(target, FIRST, variant)["rows"][1]
    assert row["unavailable"].startswith("not available")
    assert why in row["unavailable"]
    assert row["p50_us"] is None
    assert row["rounds"] == 0


def test_a_variant_that_changes_nothing_shows_the_noise(target, run):
    # The network has no layer that Winograd is for: a 3x3 convolution of 3 channels is none.
    row = by_name(run(target, FIRST, Variant(winograd=False)))["fp32+no-winograd"]
    assert row["same_bits_as"] in ("fp32", None)
    assert row["same_kernels"] is (row["same_bits_as"] is not None)


class Dies(Network):
    """Ends its process, as ncnn does on a broken network, when it is timed for the third time."""

    times = 0

    def time_once(self):
        self.times += 1
        if self.times == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().time_once()


def dying(monkeypatch, variant):
    monkeypatch.setattr(
        model_module, "Network", lambda target, one, **more: (Dies if one == variant else Network)(target, one, **more)
    )


def test_a_variant_that_crashes_ends_alone(target, run, monkeypatch):
    dying(monkeypatch, Variant(sgemm=False))
    document = run(target, FIRST, Variant(sgemm=False))
    first, dead = document["rows"]
    assert dead["unavailable"] == "ncnn crashed (SIGKILL)"
    assert first["rounds"] == 6
    assert document["complete"]


def test_a_variant_that_does_not_load_is_a_row(target, run):
    broken = replace(target, bins={**target.bins, "fp16": target.param_file})
    row = run(broken, FIRST, Variant(weights="fp16"))["rows"][1]
    assert "does not load" in row["unavailable"]


def test_a_first_variant_that_does_not_load_is_an_error(target, run):
    with pytest.raises(ConversionError, match="does not load"):
        run(replace(target, bins={"fp32": target.param_file}), FIRST)


def test_where_nothing_can_be_measured_that_is_an_error(target, run):
    with pytest.raises(UsageError, match="nothing can be measured: fp32\\+weights=fp16 is not available"):
        run(target, Variant(weights="fp16"))


def test_wrong_outputs_are_seen_beside_the_time(target, run):
    wrong = replace(target, expected=tuple({"out0": one["out0"] + 3} for one in target.expected))
    row = run(wrong, FIRST)["rows"][0]
    assert row["max_error"] == pytest.approx(3, abs=1e-3)
    nan = replace(target, expected=tuple({"out0": one["out0"] * np.nan} for one in target.expected))
    assert "NaN" in run(nan, FIRST)["rows"][0]["fault"]


def test_an_interrupt_keeps_what_was_measured(target, run):
    kept = []

    def interrupt(document):
        kept.append(document)
        if len(kept) == 3:
            raise KeyboardInterrupt

    document = run(target, FIRST, Variant(packing=False), checkpoint=interrupt)
    assert not document["complete"]
    assert [row["rounds"] for row in document["rows"]] == [3, 3]
    assert all(row["p50_us"] for row in document["rows"])
    assert [one["complete"] for one in kept] == [False] * 3
    assert [one["rows"][0]["rounds"] for one in kept] == [1, 2, 3]


def row(name, ratio, low, high, **more):
    return {**model_row(name), "ratio": ratio, "ratio_low": low, "ratio_high": high, **more}


def test_the_verdict_says_what_is_faster_slower_and_neither():
    rows = [
        row("fp32", 1.0, 1.0, 1.0),
        row("a", 0.8, 0.7, 0.9),
        row("b", 0.7, 0.6, 0.8),
        row("c", 1.5, 1.2, 1.7),
        row("d", 0.99, 0.9, 1.1),
        row("e", 1.02, 0.98, 1.04, same_kernels=True),
        absent_row("f"),
    ]
    assert judge(rows) == [
        "b takes 0.700 (0.600 to 0.800) of fp32's time",
        "a takes 0.800 (0.700 to 0.900) of fp32's time",
        "e takes the same kernels as fp32, and measured 1.020 (0.980 to 1.040) of its time: "
        "differences as small mean nothing here",
        "slower than fp32: c",
        "no difference to fp32 can be told: d",
    ]


def test_nothing_to_compare_gives_no_verdict():
    assert judge([row("fp32", 1.0, 1.0, 1.0)]) == []
    assert judge([row("fp32", 1.0, 1.0, 1.0), row("a", 0.5, None, None)]) == []
