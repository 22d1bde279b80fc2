"""Says how a child process ended."""

from __future__ import annotations

import signal


def describe_exit(returncode: int) -> str:
    """Name the signal or the exit code.

    Args:
        returncode: Of `subprocess`; minus the signal's number where a signal ended the process.
    """
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:  # a real-time signal has no name
        return f"signal {-returncode}"
