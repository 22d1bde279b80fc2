"""Text that comes from files and exceptions, made fit for one line of a terminal."""

from __future__ import annotations

import re

_LIMIT = 200
_TORCHSCRIPT = "The following operation failed in the TorchScript interpreter"
_ERROR = re.compile(r"^(?:\w+\.)*(\w+): (\S.*)", re.MULTILINE)  # code is indented, and paths have slashes


def printable(text: str) -> str:
    """Make text from a file safe to print: no control or bidirectional characters, and not endless.

    Args:
        text: Any text.

    Returns:
        The text, cut to 200 characters; escaped where it is not printable.
    """
    short = text if len(text) <= _LIMIT else text[: _LIMIT - 3] + "..."
    return short if short.isprintable() else ascii(short)[1:-1]


def one_line(error: BaseException) -> str:
    """Describe an exception in one line.

    Args:
        error: The exception.

    Returns:
        Its type and the first line of its message; of what failed inside TorchScript, the error behind the traceback.
    """
    message = str(error).strip()
    if message.startswith(_TORCHSCRIPT):
        inner = _ERROR.search(message.rpartition("Traceback of TorchScript")[2])
        if inner:
            return printable(f"{inner[1]}: {inner[2]}")
    name = type(error).__name__
    return f"{name}: {printable(message.splitlines()[0])}" if message else name
