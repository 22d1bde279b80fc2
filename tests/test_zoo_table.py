"""The table of the zoo: every network exported, checked and measured, and no failure hidden."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from dwca_export import zoo

FILE = Path(__file__).resolve().parents[1] / "tools/zoo_table.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("zoo_table", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["zoo_table"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["zoo_table"]


def row(tool, name, **changes):
    about = {"shape": "1x3x8x8", "measured": "top-1 50.0%", "comparisons": 6, "modes": ("fp32", "bf16-storage")}
    return tool.Row(name, **{**about, "milliseconds": 0.25, "megabytes": 1.5, **changes})


def test_a_row_says_what_was_measured(tool):
    titles, line = tool.table([row(tool, "tiny")]).splitlines()
    cells = ["tiny", "1x3x8x8", "top-1 50.0%", "6 passed", "fp32 bf16-storage", "0.250", "1.50"]
    assert re.split(" {2,}", line) == cells
    assert titles.index("parity") == line.index("fp32")


def test_a_time_of_a_restless_machine_is_marked(tool):
    lines = tool.table([row(tool, "a", is_stable=False), row(tool, "b")]).splitlines()
    assert "0.250 *" in lines[1]
    assert "*" not in lines[2]
    assert lines[3].startswith("* the machine was not calm")


def test_what_was_not_measured_is_not_shown_as_a_time(tool):
    assert "not measured" in tool.table([row(tool, "a", milliseconds=None)])


def test_a_failure_stands_below_the_table(tool):
    lines = tool.table([row(tool, "a"), tool.Row("b", fault="dwca-export ended with 3: planted")]).splitlines()
    assert len(lines) == 3
    assert lines[2] == "b: failed: dwca-export ended with 3: planted"


def test_a_network_that_fails_does_not_end_with_0(tool, tmp_path, capsys):
    assert tool.main(["--out", str(tmp_path), "absent"]) == 1
    assert "absent: failed: zoo: there is no network 'absent'" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_fails_is_named(tool, tmp_path):
    (tmp_path / "taken_ncnn_model").mkdir()
    (tmp_path / "taken_ncnn_model/file").touch()
    found = tool.row_of("fashion_baseline", tmp_path / "taken_ncnn_model")
    assert found.fault.startswith("dwca-export ended with 2: ")
    assert "is not a bundle, and is not replaced" in found.fault


@pytest.mark.slow
def test_every_network_passes(tool, tmp_path, capsys):
    assert tool.main(["--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(zoo.names())]] == zoo.names()
    assert all("passed" in line for line in lines[1 : 1 + len(zoo.names())])
