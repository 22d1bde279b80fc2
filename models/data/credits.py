"""Says who drew the icons and took the photographs of a built set, and on which terms they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.data.backgrounds import PHOTOGRAPHS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.data.icons import Credit

FILE = "CREDITS.md"


def as_markdown(credits: Iterable[Credit]) -> str:  # noqa: A002 # that is what they are
    """Write the credits.

    Args:
        credits: Of the icon sets that the set uses.

    Returns:
        Markdown: a table of icon sets, a list of photographs.
    """
    rows = "\n".join(
        f"| {_cell(c.name)} (`{c.prefix}`) | {_cell(c.author)} | {c.licence} | {c.icons} | {c.url} |" for c in credits
    )
    photographs = "\n".join(f"- {p.file} ({p.part}): {p.credit}" for p in PHOTOGRAPHS)
    return (
        "# Credits\n\nRendered from icons of these sets, changed in colour, thickness, size and angle:\n\n"
        "| icon set | author | licence | icons | terms |\n| --- | --- | --- | --- | --- |\n"
        f"{rows}\n\nBackgrounds, crops of photographs that scikit-image ships:\n\n{photographs}\n"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
