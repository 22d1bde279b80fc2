"""A forked process that holds one network and times it on request.

Each variant has a process of its own: cores and thread pools are settings of a whole process, a crash of ncnn ends this
variant alone, and the peak of memory is the variant's own. A fork, because programs cannot be started under qemu-user.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import re
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.errors import ConversionError
from dwca_export.exit_status import describe_exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from multiprocessing.connection import Connection
    from types import TracebackType

_INTERRUPTS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
# Threads of a pool wait actively for a while before they sleep; until then they would disturb the next variant.
_SPIN_SECONDS = 0.5
_SPIN_LOOK = 0.0005
_OWN_THREADS = 2  # the one that was forked, which waits, and the one that answers


class Worker:
    """Runs an object's methods in a forked process.

    Args:
        make: Makes the object, there.
        where: What it is, for errors.
        timeout: Seconds that one request may take.

    Raises:
        ConversionError: The process crashed, or takes too long.
        Exception: What `make` raised.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]], where: str, timeout: float = 600.0) -> None:
        self.where = where
        self.timeout = timeout
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, theirs, self._connection), daemon=True)
        # An interrupt waits until the process is known, or nobody would end it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, method: str) -> Any:
        """Call a method of the object.

        Raises:
            ConversionError: The process crashed, or takes too long.
            Exception: What the method raised.
        """
        try:
            self._connection.send(method)
        except OSError:
            self._crashed()
        return self._answer()

    def memory(self) -> tuple[int, int]:
        """The most memory that the process ever had resident, in bytes, and how much of that came with the object."""
        peak, before = self.ask("")
        return peak, peak - before

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _answer(self) -> Any:
        try:
            if not self._connection.poll(self.timeout):
                self._process.kill()
                hint = "give it a smaller input, or fewer threads"
                raise ConversionError(f"not done after {self.timeout:g} s", where=self.where, hint=hint)
            value, error = self._connection.recv()
        except (EOFError, ConnectionError):
            self._crashed()
        if error is not None:
            raise error
        return value

    def _crashed(self) -> None:
        self._process.join()
        what = f"ncnn crashed ({describe_exit(self._process.exitcode or 0)})"
        raise ConversionError(what, where=self.where, hint="see what ncnn printed on standard error")


def _serve(make: Callable[[], AbstractContextManager[Any]], connection: Connection, parents: Connection) -> None:
    parents.close()  # or the end of the parent would never be noticed
    for number in _INTERRUPTS:  # a terminal interrupts all processes: the parent keeps what was measured, and ends us
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
    gc.disable()
    # A thread that starts here: the one that was forked remembers OpenMP's pool of the parent, whose threads are not
    # here, and would wait for them.
    thread = threading.Thread(target=_answer_requests, args=(make, connection))
    thread.start()
    thread.join()


def _answer_requests(make: Callable[[], AbstractContextManager[Any]], connection: Connection) -> None:
    before = _resident("VmRSS")
    with contextlib.ExitStack() as stack, contextlib.suppress(EOFError, OSError):
        thing: Any = None

        def made() -> None:
            nonlocal thing
            thing = stack.enter_context(make())

        _reply(connection, made)
        while True:
            _reply(connection, partial(_obey, thing, connection.recv(), before))


def _obey(thing: Any, method: str, before: int) -> Any:
    return getattr(thing, method)() if method else (_resident("VmHWM"), before)


def _reply(connection: Connection, work: Callable[[], Any]) -> None:
    answer: tuple[Any, Exception | None]
    try:
        answer = (work(), None)
    except Exception as error:  # the parent decides what becomes of it
        answer = (None, error)
    _wait_until_quiet()
    connection.send(answer)


def _wait_until_quiet() -> None:
    """Wait until no thread of this process runs but the one that asks."""
    deadline = time.monotonic() + _SPIN_SECONDS
    while _running_threads() > 1 and time.monotonic() < deadline:
        time.sleep(_SPIN_LOOK)


def _running_threads() -> int:
    try:
        threads = os.listdir("/proc/self/task")  # noqa: PTH208  it is done often
    except OSError:
        return 0
    if len(threads) <= _OWN_THREADS:
        return 1
    return sum(_state(thread) == "R" for thread in threads)


def _state(thread: str) -> str:
    try:
        text = Path(f"/proc/self/task/{thread}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended meanwhile
        return ""
    return text.rpartition(")")[2].split()[0]


def _resident(key: str) -> int:
    """Resident memory in bytes, now (`VmRSS`) or at most (`VmHWM`); 0 where the system does not tell."""
    try:
        found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"), re.M)
    except OSError:
        found = None
    return int(found[1]) << 10 if found else 0
