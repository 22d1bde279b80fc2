"""The command that trains: several processes, failures among them, and taking up what was interrupted."""

from __future__ import annotations

import argparse
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from dwca_export.errors import DwcaExportError, UsageError
from models.data import shapes
from models.experiment.children import ROOT
from models.experiment.run import Settings, _require_none, choose_device, main, parse_seeds
from models.experiment.side_by_side import run_all
from models.experiment.what import Run

pytestmark = pytest.mark.usefixtures("from_a_terminal")
VARIANTS = ["baseline", "plain5x5"]
RUNS = [Run("objects", name, 0) for name in VARIANTS]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "set"
    shapes.write(folder, objects=88, scenes=40)
    return folder


def arguments(tiny, runs, *more, variants=VARIANTS):
    folders = ["--data", str(tiny), "--runs", str(runs), "--device", "cpu"]
    return ["--task", "objects", "--variant", *variants, "--seeds", "0", "--epochs", "2", *folders, *more]


def results(runs):
    return sorted(file.parent.parent.name for file in runs.rglob("result.json"))


def test_finished_runs_are_left_alone(tiny, tmp_path, capsys):
    assert main(arguments(tiny, tmp_path, "--jobs", "2")) == 0
    assert results(tmp_path) == VARIANTS
    captured = capsys.readouterr()
    assert "2 runs are finished" in captured.out
    assert "objects/baseline/seed-0: test_accuracy 0." in captured.err
    times = [file.stat().st_mtime_ns for file in tmp_path.rglob("*.*")]
    assert main(arguments(tiny, tmp_path)) == 0
    assert "test_accuracy" not in capsys.readouterr().err
    assert main(arguments(tiny, tmp_path, "--epochs", "3")) == 3
    assert "this finished run is of another recipe (epochs)" in capsys.readouterr().err
    assert [file.stat().st_mtime_ns for file in tmp_path.rglob("*.*")] == times


def test_a_run_that_fails_does_not_stop_the_others(tiny, tmp_path, capsys):
    folder = RUNS[0].folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "state.pt").write_bytes(b"no state")
    assert main(arguments(tiny, tmp_path)) == 1
    message = capsys.readouterr().err
    assert "1 of 2 runs failed" in message
    assert "objects/baseline/seed-0" in message
    assert "this kept training cannot be read" in message
    assert "Traceback" not in message
    assert results(tmp_path) == ["plain5x5"]


def test_diverging_runs_end_with_an_error_and_without_result(tiny, tmp_path, capsys):
    more = ["--lr", "1e30", "--warmup-epochs", "0"]
    assert main(arguments(tiny, tmp_path, *more, variants=["baseline"])) == 1
    assert "the training diverged" in capsys.readouterr().err
    assert {file.name for file in tmp_path.rglob("*.*")} <= {"seed-0", "log.csv"}


def test_a_process_that_is_killed_is_reported(tiny, tmp_path):
    killer = threading.Thread(target=_kill_child, args=[RUNS[0].folder(tmp_path) / "state.pt"])
    killer.start()
    settings = Settings(data=tiny, runs=tmp_path, changes={"epochs": 2000, "warmup_epochs": 0.5})
    failures = run_all(RUNS[:1], settings, Console(file=io.StringIO()))
    killer.join()
    assert list(failures) == RUNS[:1]
    assert "its process ended with -9" in failures[RUNS[0]]


def _kill_child(when_there_is):
    """Kill the child of this process that trains."""
    _wait_for(when_there_is.exists)
    for child in _workers("self"):
        os.kill(int(child), signal.SIGKILL)


def _workers(parent):
    """Ids of the processes that train for another one."""
    children = [child for file in Path(f"/proc/{parent}/task").glob("*/children") for child in file.read_text().split()]
    return [child for child in children if "models.experiment.worker" in Path(f"/proc/{child}/cmdline").read_text()]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_command_goes_on_where_it_stopped(tiny, tmp_path, sign):
    more = ["--epochs", "25"]
    request = arguments(tiny, tmp_path, *more, variants=["baseline"])
    command = [sys.executable, "-m", "models.experiment.run", *request]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        state = RUNS[0].folder(tmp_path) / "state.pt"
        _wait_for(state.exists)
        workers = _workers(process.pid)
        assert len(workers) == 1
        process.send_signal(sign)
        _, message = process.communicate(timeout=60)
    if sign != signal.SIGKILL:
        assert process.returncode == 130
        assert "error: interrupted\n  -> the same command goes on" in message
        assert "Traceback" not in message
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    # Without its parent, a run ends after the epoch that it is at.
    _wait_for(lambda: _quiet(state))
    done = len(torch.load(state, weights_only=True)["epochs"])
    assert 0 < done < 25
    assert main(request) == 0
    assert results(tmp_path) == ["baseline"]
    rows = (RUNS[0].folder(tmp_path) / "log.csv").read_text().splitlines()
    assert len(rows) == 26


def _quiet(file, seconds=1.5):
    """Whether nobody writes to the file any more."""
    before = file.stat().st_mtime_ns
    time.sleep(seconds)
    return file.stat().st_mtime_ns == before


def _wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_data_that_are_not_there_are_refused_before_anything_starts(tmp_path, capsys):
    assert main(arguments(tmp_path / "absent", tmp_path / "runs")) == 3
    assert "there is no built data set" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_data_that_do_not_fit_their_hash_are_an_error_of_each_run(tiny, tmp_path, capsys):
    damaged = tmp_path / "set"
    damaged.mkdir()
    for file in tiny.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    (damaged / "objects-train.npz").write_bytes(b"something else")
    assert main(arguments(damaged, tmp_path / "runs", variants=["baseline"])) == 1
    message = capsys.readouterr().err
    assert "1 of 1 runs failed" in message
    assert "SHA-256" in message


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--variant", "cbam"], 2, "there is no variant 'cbam'"),
        (["--epochs", "0"], 2, "epochs=0 cannot be"),
        (["--jobs", "0"], 2, "0 runs at a time cannot be"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(tiny, tmp_path, capsys, more, code, message):
    assert main(arguments(tiny, tmp_path, *more)) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_runs_are_no_failures():
    assert run_all([], Settings(), Console(file=io.StringIO())) == {}


def test_the_device_is_cuda_where_there_is_one():
    there = torch.cuda.is_available()
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") == ("cuda" if there else "cpu")
    if not there:
        with pytest.raises(UsageError, match="no CUDA device"):
            choose_device("cuda")


@pytest.mark.parametrize(
    ("text", "seeds"), [("0-4", [0, 1, 2, 3, 4]), ("3", [3]), ("0,2,5-6", [0, 2, 5, 6]), ("1,1", [1])]
)
def test_seeds_are_read(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "4-0", "1-", "-1", "0,,1", "0-99999999999"])
def test_what_is_no_list_of_seeds_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        parse_seeds(text)


def test_a_file_in_the_place_of_the_runs_is_refused(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        Settings(runs=tmp_path / "runs")


def test_others_are_finished_only_where_there_are_any():
    with pytest.raises(DwcaExportError) as some:
        _require_none({RUNS[0]: "fault"}, 2)
    with pytest.raises(DwcaExportError) as every:
        _require_none({RUNS[0]: "fault"}, 1)
    assert "the others are finished" in some.value.hint
    assert every.value.hint == "the same command tries again"
