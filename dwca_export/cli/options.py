"""What the commands share: reading values, printing errors, exit codes."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from dwca_export.errors import DwcaExportError, UsageError
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable


class InterruptedExportError(DwcaExportError):
    """The user, or the system, asked the process to end."""

    exit_code = 130  # as shells report SIGINT


def parse_json_object(text: str, option: str) -> dict[str, Any]:
    """Read a JSON object from the command line.

    Raises:
        UsageError: It is none.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"not JSON: {error}", where=option, hint=f"{option} '{{\"width\": 0.5}}'") from error
    if not isinstance(value, dict):
        raise UsageError("not a JSON object", where=option, hint=f"{option} '{{\"width\": 0.5}}'")
    return value


def start(app: typer.Typer) -> None:
    """Parse the command line and run the command; what cannot be parsed is an error like any other."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show must not end the export
            stream.reconfigure(errors="backslashreplace")
    try:
        typer.main.get_command(app)(standalone_mode=False)
    except Exception as error:  # the parser's: `run` lets none of the command's out
        message = getattr(error, "format_message", error.__str__)()
        usage = UsageError(message.rstrip("."), where="command line", hint="--help lists arguments and options")
        _fail(usage, as_json="--json" in sys.argv[1:])


def run(command: Callable[[], None], *, as_json: bool, debug: bool) -> NoReturn:
    """Run a command and end the process with the right exit code.

    Errors go to standard error, and with `as_json` as a document to standard output; a traceback only with `debug`.
    """
    signals = _Signals()
    try:
        command()
    except KeyboardInterrupt:
        _fail(InterruptedExportError("interrupted"), as_json=as_json)
    except Exception as error:  # the last line of defence: no traceback reaches the user unasked
        if debug:
            traceback.print_exc()
        # An interrupt that somebody made another error of on its way up is one still.
        _fail(InterruptedExportError("interrupted") if signals.received else _known(error), as_json=as_json)
    sys.exit(0)


class _Signals:
    """Makes every signal that asks the process to end a KeyboardInterrupt, so that all clean up alike."""

    def __init__(self) -> None:
        self.received = False
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup, background jobs
                signal.signal(number, self._interrupt)

    def _interrupt(self, signum: int, frame: object) -> NoReturn:  # noqa: ARG002  the signature of a signal handler
        self.received = True
        raise KeyboardInterrupt


def _known(error: Exception) -> DwcaExportError:
    if isinstance(error, DwcaExportError):
        return error
    if isinstance(error, PermissionError) and error.filename:
        return UsageError(
            f"{error.strerror}", where=os.fsdecode(error.filename), hint="check who may read and write it"
        )
    text = " ".join(str(error).split()) or "no message"
    return DwcaExportError(
        f"{type(error).__name__}: {text}", where="internal error", hint="run again with --debug and report it"
    )


def _fail(error: DwcaExportError, *, as_json: bool) -> NoReturn:
    print("\n".join(map(visible, f"error: {error}".splitlines())), file=sys.stderr)  # noqa: T201
    if as_json:
        kind, code = type(error).__name__, error.exit_code
        details = {"what": error.what, "where": error.where, "hint": error.hint}
        print(json.dumps({"error": {"kind": kind, "exit_code": code, **details}}))  # noqa: T201
    sys.exit(error.exit_code)
