"""Ctrl-C and SIGTERM in the middle: exit code 130, and nothing is left, not even temporary files."""

from __future__ import annotations

import signal
import subprocess

import pytest
from commands import ARCH, PROGRAM, SHAPE, SIGNALS, as_from_a_terminal, child_environment, contents

from dwca_export.cli.options import Interrupts


@pytest.fixture
def interrupts():
    """The handlers of the command, in this process."""
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield Interrupts()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def import_something(number, interrupts, passed):
    with interrupts.held():
        signal.raise_signal(number)
        passed.append("the middle")
    passed.append("the end")


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_can_be_held(interrupts, number):
    """C++ that calls Python may abort the process if it comes in the middle."""
    passed = []
    with pytest.raises(KeyboardInterrupt):
        import_something(number, interrupts, passed)
    assert passed == ["the middle"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_nothing_held_is_no_interrupt(interrupts):
    with interrupts.held():
        pass
    assert not interrupts.received


@pytest.mark.parametrize(
    ("number", "after"),
    [
        (signal.SIGINT, "load"),
        (signal.SIGTERM, "prepare"),
        (signal.SIGINT, "simplify"),
        (signal.SIGHUP, "to_ncnn"),
        (signal.SIGTERM, "parity"),
    ],
)
def test_an_interrupt_leaves_nothing(models, tmp_path, number, after):
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    older = out / "state_ncnn_model"
    older.mkdir(parents=True)
    (older / "manifest.json").write_text("{}")
    before = contents(out)
    arguments = [models / "state.pt", "--arch", ARCH, "--shape", SHAPE, "--out", out, "--force"]
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        env=child_environment(TMPDIR=temporary),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_from_a_terminal,  # noqa: PLW1509  which does nothing that a thread could hold
    )
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith(after):
            process.send_signal(number)
            break
    printed, rest = process.communicate(timeout=120)
    if process.returncode == 0:
        assert after == "parity", said + rest  # too late: it was done already
        assert (older / "report.html").is_file()
    else:
        assert process.returncode == 130, said + rest
        assert rest.splitlines()[-1] == "error: interrupted"
        assert "Traceback" not in rest
        assert printed == ""
        assert contents(out) == before
    assert list(temporary.iterdir()) == []


def test_an_interrupt_at_any_moment(relu_onnx, tmp_path):
    """At moments spread over the whole run: either a whole bundle, or nothing."""
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    ends = set()
    for delay in (0.05, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4, 2.8):
        process = subprocess.Popen(
            [PROGRAM, relu_onnx, "--out", out, "--force"],
            env=child_environment(TMPDIR=temporary),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=as_from_a_terminal,  # noqa: PLW1509  which does nothing that a thread could hold
        )
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
        ends.add(process.returncode)
        assert process.returncode in (0, 130, -signal.SIGTERM)
        assert [path.name for path in out.iterdir()] == ["relu_ncnn_model"] if out.exists() else True
        assert list(temporary.iterdir()) == []
    assert ends & {130, -signal.SIGTERM}
