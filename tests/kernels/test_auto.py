"""The choice of a kernel: measured once, kept, and measured again where what was kept cannot be believed."""

from __future__ import annotations

import json
import multiprocessing
import warnings

import numpy as np
import pytest

from dwca_export import kernels
from dwca_export.errors import DwcaExportError
from dwca_export.kernels import auto as module
from dwca_export.kernels import cache
from dwca_export.kernels.auto import Candidate, auto, best

if kernels.missing():
    pytest.skip(kernels.missing(), allow_module_level=True)

LAYER = kernels.Layer(16, 12, 12, 5)
WEIGHT = np.random.default_rng(0).standard_normal((16, 5, 5), np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    path = tmp_path / "cache"
    monkeypatch.setenv("DWCA_CACHE_DIR", str(path))
    return path


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """/proc of a machine that shows no emulation, whatever runs these tests."""
    path = tmp_path / "root"
    monkeypatch.setattr(module, "ROOT", path)
    return path


@pytest.fixture
def emulated(root):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/comm").write_text("qemu-planted\n")


@pytest.fixture
def measured(monkeypatch):
    """Layers that were measured, in order."""
    layers = []
    measure = module.measure

    def counted(layer, *others):
        layers.append(layer)
        return measure(layer, *others)

    monkeypatch.setattr(module, "measure", counted)
    return layers


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return auto(*arguments, **options)


def answer(folder):
    (path,) = folder.iterdir()
    return path, json.loads(path.read_text())


def candidate(algorithm, seconds, error=1.0):
    return Candidate(algorithm, seconds, error, bound=10.0)


def test_the_fastest_right_kernel_is_picked():
    assert best([candidate("generic", 9e-5), candidate("direct", 3e-5)]).algorithm == "direct"


@pytest.mark.parametrize("error", [11.0, float("inf"), float("nan")])
def test_a_fast_wrong_kernel_is_never_picked(error):
    assert best([candidate("winograd_1d F(6,5)", 1e-9, error), candidate("direct", 3e-5)]).algorithm == "direct"


def test_without_a_right_kernel_there_is_an_error():
    with pytest.raises(DwcaExportError, match=r"direct 11 of 10"):
        best([candidate("direct", 1e-5, 11.0)])


def test_the_plan_computes_the_layer(folder):
    plan = quietly(LAYER, WEIGHT)
    x = np.random.default_rng(1).standard_normal((16, 12, 12), np.float32)
    y = kernels.unpack(plan(kernels.pack(x, plan.elempack, "fp32")), 16)
    assert np.allclose(y, kernels.reference(LAYER, x, WEIGHT, None), atol=1e-3)
    _, kept = answer(folder)
    assert plan.algorithm == kept["answer"]
    assert {one["algorithm"] for one in kept["measured"]} == set(kernels.algorithms(LAYER))


def test_what_was_measured_is_not_measured_again(measured):
    first, second = quietly(LAYER, WEIGHT), quietly(LAYER, WEIGHT * 2)
    assert first.algorithm == second.algorithm
    assert measured == [LAYER]


def test_another_shape_or_option_is_another_question(measured):
    other = kernels.Layer(16, 12, 13, 5)
    quietly(LAYER, WEIGHT)
    quietly(other, WEIGHT)
    quietly(LAYER, WEIGHT, elempack=1)
    assert measured == [LAYER, other, LAYER]


def test_to_name_a_default_is_the_same_question(measured):
    quietly(LAYER, WEIGHT)
    quietly(LAYER, WEIGHT, None, isa=None, elempack=None, storage="fp32", arithmetic="fp32", threads=1)
    assert measured == [LAYER]


@pytest.mark.parametrize("option", ["algorithm", "planted"])
def test_an_option_that_is_none_is_refused(folder, option):
    with pytest.raises(TypeError, match=option):
        auto(LAYER, WEIGHT, **{option: "direct"})
    assert not folder.exists()


def test_another_processor_is_another_question(measured, monkeypatch):
    quietly(LAYER, WEIGHT)
    monkeypatch.setattr(cache, "cpu_identity", lambda: ["another one"])
    quietly(LAYER, WEIGHT)
    assert measured == [LAYER, LAYER]


def test_another_build_of_the_library_is_another_question(measured, monkeypatch):
    quietly(LAYER, WEIGHT)
    monkeypatch.setattr(cache, "library_identity", lambda: "another build")
    quietly(LAYER, WEIGHT)
    assert measured == [LAYER, LAYER]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "\x00" * 100,
        lambda text: text.replace('"answer": "', '"answer": "no_such_', 1),
        lambda text: text.replace('"height": 12', '"height": 13', 1),
    ],
    ids=["cut", "empty", "list", "zeros", "unknown kernel", "another question"],
)
def test_a_damaged_answer_is_measured_again_and_mended(folder, measured, damage):
    quietly(LAYER, WEIGHT)
    path, _ = answer(folder)
    path.write_text(damage(path.read_text()))
    with pytest.warns(UserWarning, match=r"damaged or answers another question; measuring again"):
        auto(LAYER, WEIGHT)
    quietly(LAYER, WEIGHT)
    assert measured == [LAYER, LAYER]


def test_a_folder_that_cannot_be_written_is_no_obstacle(folder, measured):
    folder.write_text("a file is in the way")
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert auto(LAYER, WEIGHT).algorithm
    assert folder.read_text() == "a file is in the way"


def test_an_answer_that_cannot_be_read_is_measured_again(folder, measured):
    quietly(LAYER, WEIGHT)
    path, _ = answer(folder)
    path.unlink()
    path.mkdir()
    with pytest.warns(UserWarning, match="cannot be read"), pytest.warns(UserWarning, match="cannot be kept"):
        auto(LAYER, WEIGHT)
    assert measured == [LAYER, LAYER]


def test_nothing_is_left_over_when_writing_fails(folder, monkeypatch):
    monkeypatch.setattr(cache.os, "fdopen", lambda *args, **options: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.warns(UserWarning, match="disk full"):
        auto(LAYER, WEIGHT)
    assert list(folder.iterdir()) == []


def test_a_user_without_a_home(monkeypatch):
    monkeypatch.delenv("DWCA_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.warns(UserWarning, match="no home"):
        assert auto(LAYER, WEIGHT).algorithm


def ask_often():
    for _ in range(20):
        quietly(LAYER, WEIGHT)


def test_processes_at_once_leave_one_whole_answer(folder):
    context = multiprocessing.get_context("fork")  # programs cannot be started under qemu-user
    processes = [context.Process(target=ask_often) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    _, kept = answer(folder)
    assert kept["answer"] in kernels.algorithms(LAYER)


def test_no_kernel_for_the_options():
    with pytest.raises(kernels.UnavailableError):
        auto(LAYER, WEIGHT, storage="fp32", arithmetic="fp16")


# -- under emulation


@pytest.mark.parametrize(
    ("layer", "algorithm"),
    [(LAYER, "direct"), (kernels.Layer(16, 12, 12, 4, padding=(1, 1, 1, 1)), "generic")],
)
def test_an_emulated_cpu_measures_and_keeps_nothing(folder, measured, emulated, layer, algorithm):
    weight = np.ones((16, layer.kernel, layer.kernel), np.float32)
    what = rf"emulated \(the process is qemu-planted\).*taking {algorithm} unmeasured"
    with pytest.warns(UserWarning, match=what) as said:
        plan = auto(layer, weight, elempack=4, threads=2)
    assert (plan.algorithm, plan.elempack, plan.threads) == (algorithm, 4, 2)
    assert [warning.filename for warning in said] == [__file__]
    assert measured == []
    assert not folder.exists()


def test_what_was_kept_is_not_recalled_under_emulation(folder, root, request):
    """It could have been measured there by an older version."""
    quietly(LAYER, WEIGHT)
    path, kept = answer(folder)
    path.write_text(json.dumps({**kept, "answer": "generic"}))
    assert quietly(LAYER, WEIGHT).algorithm == "generic"
    request.getfixturevalue("emulated")
    with pytest.warns(UserWarning, match="taking direct unmeasured"):
        assert auto(LAYER, WEIGHT).algorithm == "direct"


def test_no_kernel_for_the_options_under_emulation(emulated):
    with pytest.raises(kernels.UnavailableError):
        quietly(LAYER, WEIGHT, storage="fp32", arithmetic="fp16")
