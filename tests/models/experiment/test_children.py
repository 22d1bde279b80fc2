"""Processes side by side: what they say is heard, how they end is told, and none is left running."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from models.experiment.children import Children, StoppedError


def children(code):
    return Children([sys.executable, "-c", f"import sys, time; request = sys.stdin.read(); {code}"])


def test_messages_are_heard_in_their_order():
    heard = []
    failure = children("print(request); print('{\"epochs\": 1}')").carry_out({"run": 5}, heard.append)
    assert failure == ""
    assert heard == [{"run": 5}, {"epochs": 1}]


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("print('what is wrong', file=sys.stderr); sys.exit(3)", "what is wrong"),
        ("sys.exit(3)", "its process ended with 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "its process ended with -9"),
        ("print('only a warning', file=sys.stderr)", ""),
    ],
)
def test_what_went_wrong_is_told(code, failure):
    assert children(code).carry_out({}, print) == failure


def test_one_that_ends_before_it_reads_is_a_failure_with_what_it_said():
    code = "import os, sys; os.close(0); print('no such module', file=sys.stderr); sys.exit({})"
    for status in (0, 3):
        dying = Children([sys.executable, "-c", code.format(status)])
        # More than the pipe holds, so that it is not merely left in it.
        failure = dying.carry_out({"much": "x" * 1_000_000}, print)
        assert failure == f"its process ended with {status} before it read what to do\nno such module"


@pytest.mark.parametrize("line", ["'a stray line'", "'5'", "'null'", "''", "'{'"])
def test_a_line_that_is_no_message_is_a_failure_and_ends_the_process(line):
    heard = []
    code = f"print('because', file=sys.stderr, flush=True); print('{{}}'); print({line}, flush=True); time.sleep(600)"
    failure = children(code).carry_out({}, heard.append)
    assert heard == [{}]
    assert failure.startswith(f"its process was ended, for it printed what is no message: {line}")
    assert failure.endswith("\nbecause")


def test_bytes_that_are_no_text_are_a_failure():
    failure = children("sys.stdout.buffer.write(b'\\xff\\n')").carry_out({}, print)
    assert "what is no message" in failure


def test_more_errors_than_a_pipe_holds_do_not_block():
    assert len(children("sys.exit('x' * 200_000)").carry_out({}, print)) == 200_000


def test_stopping_ends_what_runs_and_starts_nothing_else():
    begun = threading.Event()
    several = children("print('{}', flush=True); time.sleep(600)")
    outcome = []

    def run():
        with pytest.raises(StoppedError):
            several.carry_out({}, lambda message: begun.set())
        outcome.append("stopped")

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(120)
    start = time.monotonic()
    several.stop()
    thread.join()
    assert time.monotonic() - start < 300  # it would have slept for ten minutes
    assert outcome == ["stopped"]
    with pytest.raises(StoppedError):
        several.carry_out({}, print)
