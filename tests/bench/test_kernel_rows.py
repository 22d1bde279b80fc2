"""Rows of kernels: who takes part, how wrong each is, and what is said of those that cannot."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json

import numpy as np
import planted_system
import pytest

from dwca_export import kernels
from dwca_export.bench import entrants as module
from dwca_export.bench.entrants import Entrant, entered, rounded
from dwca_export.bench.kernels import bench_kernels
from dwca_export.bench.roofline import Roofline
from dwca_export.bench.schedule import Case, Samples
from dwca_export.bench.session import Session, Settings, open_session
from dwca_export.bench.slope import Slope
from dwca_export.bench.subject import of_shape
from dwca_export.bench.terms import Precision, Terms
from dwca_export.bench.verdict import best
from dwca_export.errors import ConversionError, DwcaExportError, InputRefusedError, UsageError
from dwca_export.kernels.measured_error import Truth

LAYER = kernels.Layer(16, 10, 12, 5)
BARE = Terms(frameworks=())

needs_native = pytest.mark.skipif(bool(kernels.missing()), reason=str(kernels.missing()))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DWCA_CACHE_DIR", str(tmp_path / "cache"))


class OneRound(Session):
    """Times every case twice, without warm-up: what is tested is not how long it takes."""

    def measure(self, cases, after_round=None, prefix=""):
        return {case.name: self.once(case) for case in cases}

    def once(self, case):
        try:
            return Samples(case.name, (case.run(), case.run()))
        except ConversionError as error:
            return Samples(case.name, complete=False, fault=error.what)


@pytest.fixture
def session():
    with open_session(Settings(rounds=1, seconds=0.0), sleep=lambda seconds: None) as opened:
        fields = {name: getattr(opened, name) for name in OneRound.__dataclass_fields__}
        # On an emulator too the rows are to have times: whether they mean anything is not what is tested.
        yield OneRound(**{**fields, "machine": dataclasses.replace(opened.machine, emulated="")})


def by_name(rows):
    assert len({row["name"] for row in rows}) == len(rows)
    return {row["name"]: row for row in rows}


def rows_of(session, layer=LAYER, terms=BARE, **options):
    document = bench_kernels([of_shape(layer)], terms, session, target={"name": "test"}, **{"blocks": False, **options})
    json.dumps(document, allow_nan=False)
    return by_name(document["rows"])


@needs_native
def test_every_algorithm_has_a_row(session):
    rows = rows_of(session)
    assert list(rows) == ["ncnn", "ncnn, Winograd off", *kernels.algorithms(LAYER), "auto"]
    for row in rows.values():
        assert row["layer"] == "16x10x12 k5 s1"
        assert row["p50_us"] > 0
        assert len(row["samples_us"]) == 2
        assert row["is_right"]
        assert 0 <= row["error_epsilons"] <= row["error_bound_epsilons"]
        assert row["max_error"] < 1e-3
        assert row["gflops"] == pytest.approx(2e-3 * LAYER.multiply_adds / row["p50_us"])
    assert rows["ncnn"]["ratio"] == 1
    assert rows["auto"]["algorithm"] in kernels.algorithms(LAYER)
    assert rows["ncnn, Winograd off"]["winograd_changes_bits"] is False
    assert rows["ncnn, Winograd off"]["winograd_changes_bits_of_dense"] is True


@needs_native
def test_on_an_emulated_cpu_auto_is_direct(session, tmp_path, monkeypatch):
    root = planted_system.plant(tmp_path / "root", {"proc/self/comm": "qemu-planted"})
    monkeypatch.setattr("dwca_export.kernels.auto.ROOT", root)
    with pytest.warns(UserWarning, match="taking direct unmeasured"):
        row = rows_of(session)["auto"]
    assert row["algorithm"] == "direct"
    assert row["is_right"]


@needs_native
@pytest.mark.parametrize(
    "layer",
    [
        kernels.Layer(16, 9, 9, 3, stride=2, bias=True, activation="relu"),
        kernels.Layer(3, 9, 9, 7, activation="hardswish"),
        kernels.Layer(8, 9, 9, 3, dilation=2),
        kernels.Layer(8, 9, 9, 9),
    ],
    ids=str,
)
def test_all_are_right(session, layer):
    for row in rows_of(session, layer).values():
        assert row["is_right"], row


@needs_native
@pytest.mark.parametrize(("storage", "elempack"), [("fp16", None), ("bf16", None), ("fp32", 1)])
def test_other_precisions_and_layouts(session, storage, elempack):
    rows = rows_of(
        session, kernels.Layer(16, 10, 12, 3), Terms(Precision(storage), elempack=elempack, frameworks=("torch",))
    )
    assert "direct" in rows
    assert ("torch" in rows) == (storage == "fp32" and importlib.util.find_spec("torch") is not None)
    for row in rows.values():
        assert row.get("is_right", True), row


@needs_native
def test_what_this_machine_lacks_is_said_in_its_row(session):
    rows = rows_of(session, terms=Terms(Precision("fp16", "fp16"), isa="scalar", frameworks=()))
    assert rows["direct"]["unavailable"]
    assert rows["direct"]["p50_us"] is None


def test_without_the_native_library_ncnn_is_measured_still(session, monkeypatch):
    def missing(*arguments, **options):
        raise kernels.UnavailableError("no native library", where="kernels")

    monkeypatch.setattr(kernels, "plan", missing)
    monkeypatch.setattr(module, "auto", missing)
    rows = rows_of(session)
    assert rows["ncnn"]["p50_us"] > 0
    assert rows["direct"]["unavailable"] == rows["auto"]["unavailable"] == "no native library"


@needs_native
def test_algorithms_can_be_chosen(session):
    rows = rows_of(session, terms=Terms(algorithms=("direct",), frameworks=()))
    assert list(rows) == ["ncnn", "ncnn, Winograd off", "direct"]


@pytest.mark.parametrize("name", list(module.FRAMEWORKS))
@pytest.mark.parametrize(
    "layer",
    [
        LAYER,
        kernels.Layer(8, 9, 10, 3, stride=2, bias=True, activation="relu6"),
        kernels.Layer(8, 9, 10, 3, padding=(0, 1, 2, 0), activation="hardswish"),
        kernels.Layer(8, 9, 10, 3, dilation=2, activation="relu", bias=True),
    ],
    ids=str,
)
def test_other_frameworks_compute_the_layer(name, layer):
    if not module.FRAMEWORKS[name].is_installed():
        pytest.skip(f"{name} is not installed")
    subject = of_shape(layer)
    array = np.random.default_rng(1).standard_normal((layer.channels, layer.height, layer.width), np.float32)
    if name == "MNN" and len(set(layer.padding)) > 1:
        with pytest.raises(InputRefusedError, match="padding is not the same"):
            module.FRAMEWORKS[name](subject, array, 1)
        return
    framework = module.FRAMEWORKS[name](subject, array, 1)
    truth = Truth(layer, array, subject.weight, subject.bias, kernels.reference)
    assert truth.epsilons(framework.output, "fp32") < 100
    with contextlib.suppress(DwcaExportError):  # a layer as small as this can be lost in the noise
        assert framework.seconds() > 0


def test_torch_keeps_its_threads():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    array = np.ones((16, 10, 12), np.float32)
    module.FRAMEWORKS["torch"](of_shape(LAYER), array, 1).seconds()
    assert torch.get_num_threads() == before


def test_a_framework_that_fails_is_no_obstacle(session, monkeypatch):
    class Broken(module.FRAMEWORKS["torch"]):
        packages = ()

        def __init__(self, subject, array, threads):
            raise RuntimeError("out of order")

    monkeypatch.setitem(module.FRAMEWORKS, "broken", Broken)
    rows = rows_of(session, terms=Terms(frameworks=("broken",)))
    assert rows["broken"]["unavailable"] == "fails with RuntimeError: out of order"
    assert rows["ncnn"]["p50_us"] > 0


def plant(monkeypatch, output):
    """A kernel that takes no time and computes `output(right)`."""
    makers = module._stock

    def with_planted(subject, terms, array, stack):
        found = makers(subject, terms, array, stack)
        right = kernels.reference(subject.layer, array, subject.weight, subject.bias)
        planted = Entrant("winograd_2d F(8x8,5x5)", Case("winograd_2d F(8x8,5x5)", lambda: 1e-9), output(right), 100.0)
        return [*found, (planted.name, lambda: planted)]

    monkeypatch.setattr(module, "_stock", with_planted)


@pytest.mark.parametrize(
    "output",
    [lambda right: right * 1.001, lambda right: right[:, ::-1], lambda right: right * np.nan, lambda right: right[:1]],
    ids=["off by a thousandth", "upside down", "not a number", "too small"],
)
def test_a_fast_wrong_kernel_is_seen(session, monkeypatch, output):
    plant(monkeypatch, output)
    rows = rows_of(session)
    wrong = rows["winograd_2d F(8x8,5x5)"]
    assert wrong["p50_us"] == pytest.approx(1e-3)
    assert wrong["is_right"] is False
    assert best(rows.values())["name"] != wrong["name"]


def test_a_fast_right_kernel_is_the_best(session, monkeypatch):
    plant(monkeypatch, lambda right: right * (1 + 1e-8))
    assert best(rows_of(session).values())["name"] == "winograd_2d F(8x8,5x5)"


def test_a_case_that_fails_says_why(session, monkeypatch):
    def fail(slope):
        raise ConversionError("lost in the noise")

    monkeypatch.setattr(Slope, "seconds", fail)
    assert rows_of(session)["ncnn"]["unavailable"] == "lost in the noise"


def test_an_interrupt_keeps_what_was_measured(session, monkeypatch):
    measured = []

    def interrupted(self, cases, after_round=None, prefix=""):
        measured.append(prefix)
        if len(measured) == 1:
            return {case.name: self.once(case) for case in cases}
        return {case.name: Samples(case.name, complete=False) for case in cases}

    monkeypatch.setattr(OneRound, "measure", interrupted)
    subjects = [of_shape(LAYER), of_shape(kernels.Layer(16, 11, 12))]
    document = bench_kernels(subjects, BARE, session, target={})
    assert not document["complete"]
    assert {row["layer"] for row in document["rows"]} == {"16x10x12 k5 s1"}
    rows = by_name(document["rows"])
    assert rows["ncnn"]["p50_us"] > 0
    assert "interrupted" in rows["block 3x3"]["unavailable"]
    assert any("what the DWCA block costs is not known" in sentence for sentence in document["verdict"])


def test_an_interrupt_between_measurements_keeps_what_was_measured(session):
    subjects = [of_shape(LAYER), of_shape(kernels.Layer(16, 11, 12))]
    started = []

    def interrupt(what):
        started.append(what)
        if len(started) == 2:
            raise KeyboardInterrupt

    document = bench_kernels(subjects, BARE, session, target={}, blocks=False, started=interrupt)
    assert not document["complete"]
    assert {row["layer"] for row in document["rows"]} == {"16x10x12 k5 s1"}


def test_layers_and_blocks_follow_each_other(session):
    subjects = [of_shape(LAYER), of_shape(kernels.Layer(16, 8, 8, stride=2))]
    started, kept = [], []
    document = bench_kernels(
        subjects, BARE, session, target={"name": "two"}, started=started.append, checkpoint=kept.append
    )
    assert document["complete"]
    assert document["kind"] == "kernels"
    assert document["target"] == {"name": "two"}
    assert list(dict.fromkeys(row["layer"] for row in document["rows"])) == ["16x10x12 k5 s1", "16x8x8 k5 s2"]
    assert sum(row["name"] == "block 5x5 + attention" for row in document["rows"]) == 2
    assert len(started) == 4
    assert [len({row["layer"] for row in one["rows"]}) for one in kept] == [1, 2]
    assert not any(one["complete"] for one in kept)


def test_blocks_have_ratios_to_the_baseline(session):
    rows = rows_of(session, blocks=True)
    blocks = {name: row for name, row in rows.items() if row.get("kind") == "block"}
    assert list(blocks) == ["block 3x3", "block 5x5", "block 5x5 + attention"]
    assert blocks["block 3x3"]["ratio"] == 1
    assert all(row["p50_us"] > 0 for row in blocks.values())


def test_times_of_an_emulator_are_none(session, monkeypatch):
    session.machine = dataclasses.replace(session.machine, emulated="by the test")
    rows = rows_of(session, blocks=True)
    assert all(row["p50_us"] is None and "emulator" in row["unavailable"] for row in rows.values())
    assert rows["ncnn"]["is_right"]


def test_more_threads_than_cpus_are_refused(session):
    with pytest.raises(UsageError, match="1000 threads"):
        rows_of(session, terms=Terms(threads=1000))


def test_inputs_are_rounded_to_the_storage():
    array = np.array([[[1 + 2**-12, 1 / 3]]], np.float32)
    assert np.array_equal(rounded(array, "fp32"), array)
    assert np.array_equal(rounded(array, "fp16"), array.astype(np.float16).astype(np.float32))
    assert np.array_equal(rounded(array, "bf16").view(np.uint32) & 0xFFFF, np.zeros((1, 1, 2)))


def test_everybody_gets_the_same_input():
    with entered(of_shape(LAYER), BARE) as field:
        outputs = [entrant.output for entrant in field.entrants if entrant.output is not None]
    assert all(np.allclose(output, field.truth.values, atol=1e-3) for output in outputs)


@needs_native
def test_limits_are_measured(session):
    roofline = Roofline("scalar")
    limits = roofline.limits(1 << 16)
    assert limits.multiply_adds > 1e6
    assert limits.bandwidth > 1e6
    assert roofline.limits(1 << 16) == limits
    assert {"percent_of_peak", "percent_of_bandwidth"} <= rows_of(session)["ncnn"].keys()


def test_without_native_library_there_are_no_limits():
    roofline = Roofline(missing="no compiler was at hand")
    assert roofline.limits(100) is None
    assert roofline.missing == "no compiler was at hand"
