"""Where answers are kept, and what tells machines apart; what becomes of bad answers is in test_auto.py."""

from __future__ import annotations

import warnings

import pytest

from dwca_export.kernels import cache


def test_an_answer_comes_back_to_its_question_only(monkeypatch, tmp_path):
    monkeypatch.setenv("DWCA_CACHE_DIR", str(tmp_path / "cache"))
    question = cache.on_this_machine({"layer": (1, 2, 3)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.recall(question, ["direct"]) is None
        cache.remember(question, "direct", [{"seconds": 1.0}])
        assert cache.recall(question, ["generic", "direct"]) == "direct"
        assert cache.recall(cache.on_this_machine({"layer": (1, 2, 4)}), ["direct"]) is None
    with pytest.warns(UserWarning, match="measuring again"):
        assert cache.recall(question, ["generic"]) is None


def test_the_library_is_part_of_the_question(monkeypatch):
    before = cache.on_this_machine({})
    monkeypatch.setattr(cache, "library_identity", lambda: "another build")
    assert cache.on_this_machine({}) != before


def test_where_answers_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("DWCA_CACHE_DIR", str(tmp_path / "cache"))
    assert cache.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("DWCA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(cache.cache_folder()) == "/somewhere/dwca-export"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(cache.cache_folder()) == "/home/someone/.cache/dwca-export"


@pytest.mark.parametrize(
    ("cpuinfo", "identity"),
    [
        (
            "model name\t: One CPU\nflags: a b\ncpu MHz : 1\n\nmodel name\t: One CPU\ncpu MHz : 2\n",
            ["model name: One CPU"],
        ),
        (
            "processor : 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd05\n\nprocessor : 1\nCPU part\t: 0xd0b\n",
            ["CPU implementer: 0x41", "CPU part: 0xd05", "CPU part: 0xd0b"],
        ),
    ],
)
def test_what_tells_processors_apart(tmp_path, cpuinfo, identity):
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    assert cache.cpu_identity(path) == identity


def test_a_system_that_tells_nothing(tmp_path):
    assert cache.cpu_identity(tmp_path / "none")
