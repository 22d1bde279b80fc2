"""Interrupts of the command as a program of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import commands
import pytest

FOR_EVER = ("--rounds", "1000000", "--variants", "no-packing", "--json")


@pytest.fixture
def start(bundle, tmp_path):
    """`start()`: the command at work, with a file that it has written already."""
    started = []

    def begin():
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "dwca_export.cli.bench",
                str(bundle),
                *FOR_EVER,
                "--save",
                str(tmp_path / "kept.json"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            preexec_fn=commands.as_from_a_terminal,  # noqa: PLW1509  no thread but this one
        )
        started.append(process)
        wait_until(lambda: process.poll() is not None or (tmp_path / "kept.json").exists())
        assert process.poll() is None, process.stderr.read()
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(process):
    path = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(path) as file:  # noqa: PTH123  a name of the kernel's
        return file.read().split()


@pytest.mark.parametrize(("number", "everybody"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_an_interrupt_leaves_one_document(start, number, everybody):
    process = start()
    (os.killpg if everybody else os.kill)(process.pid, number)  # a terminal interrupts the children too
    out, err = process.communicate(timeout=60)
    document = json.loads(out)
    assert process.returncode == 130
    assert err.startswith("error: interrupted\n")
    assert not document["complete"]
    assert document["rows"][0]["rounds"] >= 1
    assert document["rows"][0]["unavailable"] is None


def test_a_killed_command_leaves_a_whole_file_and_no_process(start, tmp_path):
    process = start()
    left = children(process)
    assert left
    process.kill()
    process.wait()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/fd") for pid in left))  # noqa: PTH110
    assert not json.loads((tmp_path / "kept.json").read_text())["complete"]
