"""What the commands share: reading values, printing errors, exit codes."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from dwca_export.errors import DwcaExportError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

# Errors of the operating system that concern the place where the bundle goes.
_HINTS = {
    "ENOSPC": "free some space, or choose another --out",
    "EDQUOT": "the quota is used up: choose another --out",
    "EFBIG": "the file is larger than allowed here: choose another --out",
    "EROFS": "the file system is read-only: choose another --out",
}


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


def run(command: Callable[[], None], *, as_json: bool, debug: bool) -> NoReturn:
    """Run a command and end the process with the right exit code.

    Errors go to standard error, and with `as_json` as a document to standard output; a traceback only with `debug`.
    """
    # A terminated export must clean up as an interrupted one does.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        command()
    except KeyboardInterrupt:
        _fail("interrupted; nothing was written", 130, kind="Interrupted", as_json=as_json)
    except Exception as error:  # the last line of defence: no traceback reaches the user unasked
        if debug:
            traceback.print_exc()
        known = _known(error)
        _fail(str(known), known.exit_code, kind=type(known).__name__, as_json=as_json, error=known)
    sys.exit(0)


def _interrupt(signum: int, frame: object) -> NoReturn:  # noqa: ARG001  the signature of a signal handler
    raise KeyboardInterrupt


def _known(error: Exception) -> DwcaExportError:
    if isinstance(error, DwcaExportError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        import errno

        hint = _HINTS.get(errno.errorcode.get(error.errno, ""))
        if hint:
            return UsageError(f"{error.strerror}", where=str(error.filename or "writing"), hint=hint)
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        return UsageError(f"the package {error.name!r} is not installed", hint="pip install 'dwca-export[export]'")
    text = " ".join(str(error).split()) or "no message"
    return DwcaExportError(
        f"{type(error).__name__}: {text}", where="internal error", hint="run again with --debug and report it"
    )


def _fail(text: str, code: int, *, kind: str, as_json: bool, error: DwcaExportError | None = None) -> NoReturn:
    print(f"error: {text}", file=sys.stderr)  # noqa: T201
    if as_json:
        details = {"what": error.what, "where": error.where, "hint": error.hint} if error else {"what": text}
        print(json.dumps({"error": {"kind": kind, "exit_code": code, **details}}, ensure_ascii=False))  # noqa: T201
    sys.exit(code)
