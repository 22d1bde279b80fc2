"""Text that comes from files and exceptions, made fit for one line of a terminal."""

from __future__ import annotations

_LIMIT = 200


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
        Its type and the first line of its message.
    """
    message = str(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {printable(message[0])}" if message else name
