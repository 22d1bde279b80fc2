"""The processes of runs side by side: started, listened to, and ended when the command is interrupted."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[2]
WORKER = (sys.executable, "-m", "models.experiment.worker")
# Characters of a stray line that are shown.
_SHOWN = 200


class StoppedError(Exception):
    """The run was ended, or not begun, because all of them were to stop."""


class Children:
    """Runs processes for several threads, each of which reads a request and prints messages, one a line.

    Args:
        command: What starts one.
    """

    def __init__(self, command: Sequence[str] = WORKER) -> None:
        self._command = list(command)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def carry_out(self, request: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> str:
        """Carry out one run in a process of its own, and wait for it.

        Args:
            request: What the worker reads from its standard input.
            report: Is given each message of the worker.

        Returns:
            What went wrong; empty where nothing did.

        Raises:
            StoppedError: `stop` was called.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
            child = self._start(errors)
            with child:
                fault = _ask(child, request) or _listen(child, report)
            with self._lock:
                self._running.discard(child)
            if self._stopped:
                raise StoppedError
            errors.seek(0)
            text = errors.read().strip()
        if fault:
            return f"{fault}\n{text}".rstrip()
        return "" if child.returncode == 0 else text or f"its process ended with {child.returncode}"

    def stop(self) -> None:
        """End all processes, and start no other."""
        with self._lock:
            self._stopped = True
            for child in self._running:
                child.terminate()

    def _start(self, errors: Any) -> subprocess.Popen[str]:
        # Under the lock, so that none is started after `stop` has gone through those that run.
        with self._lock:
            if self._stopped:
                raise StoppedError
            child = subprocess.Popen(
                self._command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                errors="replace",
            )
            self._running.add(child)
        return child


def _ask(child: subprocess.Popen[str], request: dict[str, Any]) -> str:
    """Write the request; gives what went wrong, empty where nothing did."""
    assert child.stdin is not None  # noqa: S101 # for the type checker
    try:
        with child.stdin:
            child.stdin.write(json.dumps(request))
    except BrokenPipeError:
        return f"its process ended with {child.wait()} before it read what to do"
    return ""


def _listen(child: subprocess.Popen[str], report: Callable[[dict[str, Any]], None]) -> str:
    """Pass on all messages; ends the process at a line that is none, and gives what it was."""
    assert child.stdout is not None  # noqa: S101 # for the type checker
    for line in child.stdout:
        message = _message(line)
        if message is None:
            child.terminate()
            return f"its process was ended, for it printed what is no message: {line.strip()[:_SHOWN]!r}"
        report(message)
    return ""


def _message(line: str) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
