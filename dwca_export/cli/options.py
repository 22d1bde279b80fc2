"""What the commands share: options, reading values, printing errors, exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeAlias

import typer

from dwca_export import __version__
from dwca_export.errors import DwcaExportError, UsageError
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Print tracebacks.")]


def version_of(program: str) -> Any:
    """The option that prints the version of a program, and ends it."""

    def show(value: bool) -> None:
        if value:
            typer.echo(f"{program} {__version__}")
            raise typer.Exit

    return typer.Option("--version", callback=show, is_eager=True, help="Print the version.")


def threads_of(text: str) -> Any:
    """The option for a number of threads, with its help."""
    return typer.Option(help=text, min=1, max=1024, metavar="N")


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


def start(app: typer.Typer) -> int:
    """Parse the command line and run the command; what cannot be parsed is an error like any other.

    Returns:
        The exit code.
    """
    _prepare_streams()
    try:
        return int(typer.main.get_command(app)(standalone_mode=False) or 0)
    except Exception as error:  # the parser's: `run` lets none of the command's out
        message = getattr(error, "format_message", error.__str__)()
        usage = UsageError(message.rstrip("."), where="command line", hint="--help lists arguments and options")
        return _fail(usage, as_json="--json" in sys.argv[1:])


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed by whoever started the process
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  it stays open
        elif isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show must not end the export
            stream.reconfigure(errors="backslashreplace")


def run(command: Callable[[Interrupts], None], *, as_json: bool, debug: bool) -> int:
    """Run a command.

    Errors go to standard error, and with `as_json` as a document to standard output; a traceback only with `debug`.

    Returns:
        The exit code.
    """
    interrupts = Interrupts()
    try:
        command(interrupts)
    except KeyboardInterrupt:
        return _fail(InterruptedExportError("interrupted"), as_json=as_json)
    except Exception as error:  # the last line of defence: no traceback reaches the user unasked
        if debug:
            traceback.print_exc()
        # An interrupt that somebody made another error of on its way up is one still.
        return _fail(InterruptedExportError("interrupted") if interrupts.received else _known(error), as_json=as_json)
    finally:
        interrupts.ignore()  # all is done: what comes now is too late
    return 0


@contextlib.contextmanager
def printing(hint: str = "the bundle is complete; its manifest.json says the same") -> Iterator[None]:
    """Print a result, all of it.

    Args:
        hint: What the user has without it.

    Raises:
        UsageError: Standard output does not take it.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        raise UsageError(
            f"the result cannot be printed: {error.strerror}",
            where="standard output",
            hint=hint,
        ) from error


def end(code: int) -> NoReturn:
    """End the process at once: taking apart torch's millions of objects would take as long as all hops together."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # it is full or closed: `printing` has said so, or nobody can
            stream.flush()
    os._exit(code)


class Interrupts:
    """Makes every signal that asks the process to end a KeyboardInterrupt, so that all clean up alike."""

    def __init__(self) -> None:
        self.received = False
        self._held = False
        known = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
        # What is ignored stays so: nohup, background jobs.
        self.numbers = [number for number in known if number and signal.getsignal(number) != signal.SIG_IGN]
        for number in self.numbers:
            signal.signal(number, self._interrupt)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep interrupts for the end of the block.

        `import torch` calls Python from C++ that takes any exception for a reason to abort the process.
        """
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.received:
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Let the process end as it would have."""
        for number in self.numbers:
            signal.signal(number, signal.SIG_IGN)

    def _interrupt(self, signum: int, frame: object) -> None:  # noqa: ARG002  the signature of a signal handler
        self.received = True
        if not self._held:
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


def _fail(error: DwcaExportError, *, as_json: bool) -> int:
    with contextlib.suppress(OSError):  # if it cannot be printed, the exit code says enough
        print("\n".join(map(visible, f"error: {error}".splitlines())), file=sys.stderr, flush=True)  # noqa: T201
    if as_json:
        kind, code = type(error).__name__, error.exit_code
        details = {"what": error.what, "where": error.where, "hint": error.hint}
        with contextlib.suppress(OSError):
            print(json.dumps({"error": {"kind": kind, "exit_code": code, **details}}), flush=True)  # noqa: T201
    return error.exit_code
