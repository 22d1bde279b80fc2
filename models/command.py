"""The frame of every command of `python -m models...`: errors are a line, and whoever is asked to end cleans up."""

from __future__ import annotations

import contextlib
import functools
import signal
import sys
from typing import TYPE_CHECKING

from dwca_export.cli.options import InterruptedExportError, Interrupts
from dwca_export.errors import DwcaExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import ParamSpec

    P = ParamSpec("P")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def framed(main: Callable[P, int]) -> Callable[P, int]:
    """Give a command's `main` the frame that all of them have.

    Errors of `dwca_export.errors` are printed to standard error, and their exit code is returned. Ctrl-C, SIGTERM and
    SIGHUP are each a KeyboardInterrupt while it runs, and come to "error: interrupted" and 130.

    Args:
        main: Returns the exit code where nothing went wrong.
    """

    @functools.wraps(main)
    def command(*args: P.args, **kwargs: P.kwargs) -> int:
        with _interrupts() as interrupts:
            try:
                return main(*args, **kwargs)
            except KeyboardInterrupt as interrupt:
                return _fail(InterruptedExportError("interrupted", hint=str(interrupt)))
            except Exception as error:
                # An interrupt that somebody made another error of on its way up is one still.
                if interrupts.received:
                    return _fail(InterruptedExportError("interrupted"))
                if isinstance(error, DwcaExportError):
                    return _fail(error)
                raise

    return command


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keep signals for the end of the block: `import torch` aborts the process at an exception in its middle."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_ending_to_the_parent() -> None:
    """In a process of a pool: Ctrl-C, which reaches it too, is its parent's to answer; SIGTERM ends it silently."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _interrupts() -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield Interrupts()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(error: DwcaExportError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code
