"""Names that come from files, made fit to be printed."""

from __future__ import annotations


def visible(text: str) -> str:
    """Escape what a terminal would obey or a UTF-8 file could not hold: control, bidirectional and broken characters.

    Args:
        text: Any text.

    Returns:
        The text on one line; unchanged if it is printable.
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
