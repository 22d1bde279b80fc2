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
