from __future__ import annotations

import io
import re
import sys

import pytest

from dwca_export.progress import Progress


def test_one_line_per_hop(capsys):
    progress = Progress()
    with progress.hop("load") as hop:
        hop.says("a file")
    with progress.hop("prepare"):
        pass
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"load +\d+\.\d\d s  a file\nprepare +\d+\.\d\d s  \n", err)


def test_quiet_prints_nothing_and_keeps_time(capsys):
    progress = Progress(quiet=True)
    with progress.hop("load") as hop:
        hop.says("a file")
    assert capsys.readouterr() == ("", "")
    assert list(progress.totals()) == ["load"]


def test_a_hop_that_ran_twice_counts_once():
    progress = Progress(quiet=True)
    for name in ("to_onnx", "to_ncnn", "to_onnx"):
        with progress.hop(name):
            pass
    assert list(progress.totals()) == ["to_onnx", "to_ncnn"]
    assert sum(progress.totals().values()) == pytest.approx(sum(seconds for _, seconds in progress.seconds))


def test_a_hop_that_fails_prints_nothing(capsys):
    progress = Progress()
    with pytest.raises(RuntimeError), progress.hop("load"):
        raise RuntimeError
    assert capsys.readouterr().err == ""
    assert progress.totals() == {}


def test_a_terminal_shows_the_hop_that_runs(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress()
    with progress.hop("load") as hop:
        assert "load       ..." in terminal.getvalue()
        hop.says("done")
    shown = terminal.getvalue()
    assert shown.count("\b \b") == len("load       ...")
    assert shown.endswith("s  done\n")


def test_names_from_files_cannot_command_the_terminal(capsys):
    progress = Progress()
    with progress.hop("load") as hop:
        hop.says("\x1b[2J\nerror: forged")
    assert r"\x1b[2J\nerror" in capsys.readouterr().err


def test_a_stream_that_takes_nothing_does_not_stop_the_export(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    progress = Progress()
    with progress.hop("load"):
        pass
    assert list(progress.totals()) == ["load"]
