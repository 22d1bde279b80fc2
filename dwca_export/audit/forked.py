"""Runs work in a copy of this process: a network that makes ncnn crash ends the copy, and is named as what did it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from typing import TYPE_CHECKING, TypeVar

from dwca_export.errors import ConversionError, DwcaExportError
from dwca_export.exit_status import describe_exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Result = TypeVar("Result")

_INTERRUPTS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}


def in_child(work: Callable[[], Result], where: str, timeout: float | None = None) -> Result:
    """Run work in a forked process; in this one where the system cannot fork.

    A fork, and not a program of its own, because programs cannot be started under an emulator such as qemu-user.

    Args:
        work: Returns what can be pickled.
        where: What runs, for the error.
        timeout: Seconds that it may take; without end by default, and where the system cannot fork.

    Raises:
        ConversionError: The process crashed, or took too long.
        Exception: What the work raised.
    """
    if not hasattr(os, "fork"):
        return work()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(work, sender))
    try:
        _start(process)
        sender.close()
        if not receiver.poll(timeout):
            raise ConversionError(f"not done after {timeout} s", where=where, hint="ncnn may never end on it")
        result, error, trace = receiver.recv()
    except EOFError as end:
        process.join()
        what = f"ncnn crashed ({describe_exit(process.exitcode or 0)})"
        raise ConversionError(what, where=where, hint="see what ncnn printed on standard error") from end
    finally:
        process.kill()
        process.join()
        receiver.close()
    if error is not None:
        raise error from (None if isinstance(error, DwcaExportError) else RuntimeError(trace))
    value: Result = result
    return value


def _start(process: BaseProcess) -> None:
    """Start the process; an interrupt waits until it is known, or nobody would end it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(work: Callable[[], Result], sender: Connection) -> None:
    for number in _INTERRUPTS:  # the parent cleans up, and ends this process if need be
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
    answer: tuple[Result | None, Exception | None, str]
    try:
        answer = (work(), None, "")
    except Exception as error:  # the parent decides what becomes of it
        answer = (None, error, traceback.format_exc())
    sender.send(answer)
