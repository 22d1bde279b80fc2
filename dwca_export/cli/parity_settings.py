"""Tolerances that the user sets: `[tool.dwca-export]` of a pyproject.toml, and `--tolerance` on the command line."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from dwca_export.errors import UsageError
from dwca_export.parity.tolerances import TOLERANCES, Tolerance

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_FILE = "pyproject.toml"
_TABLE = "tool.dwca-export"
# What a user may set; the contrast is of the export.
FIGURES = tuple(field.name for field in fields(Tolerance) if field.name not in ("reason", "contrast"))


@dataclass(frozen=True)
class Setting:
    """One number that the user sets.

    Attributes:
        tolerance: Key of the tolerance.
        figure: Which of its numbers, one of `FIGURES`.
        value: The number.
        where: Where the user set it.
    """

    tolerance: str
    figure: str
    value: float
    where: str


def with_settings(settings: Sequence[Setting]) -> tuple[dict[str, Tolerance], tuple[str, ...]]:
    """The table of tolerances as the user wants it; later settings count.

    Returns:
        The table, and a note for each number that differs from the table's own.
    """
    table = dict(TOLERANCES)
    last = {(one.tolerance, one.figure): one for one in settings}
    notes = []
    for one in last.values():
        usual = getattr(TOLERANCES[one.tolerance], one.figure)
        if one.value != usual:
            changed: dict[str, Any] = {one.figure: one.value}
            table[one.tolerance] = replace(table[one.tolerance], **changed)
            notes.append(f"{one.tolerance}.{one.figure} is {one.value:g} instead of {usual:g} ({one.where})")
    return table, tuple(notes)


def parse_setting(text: str) -> Setting:
    """Read a setting of the command line: `fp32.relative_l2=0.001`.

    Raises:
        UsageError: It is none, or there is no such tolerance.
    """
    where = "--tolerance"
    name, equals, value = text.partition("=")
    tolerance, dot, figure = name.strip().partition(".")
    if not (equals and dot):
        raise UsageError(f"{text!r} is not NAME.FIGURE=VALUE", where=where, hint=_hint())
    try:
        parsed = float(value)
    except ValueError as error:
        raise UsageError(f"{value!r} is not a number", where=where, hint=_hint()) from error
    return _setting(tolerance, figure, parsed, where)


def read_settings(start: Path) -> tuple[Setting, ...]:
    """Read the nearest `[tool.dwca-export]`.

    Args:
        start: Folder where the search begins; it goes on upwards to the first pyproject.toml that has the table.

    Raises:
        UsageError: A file on the way cannot be read, or the table has names or values that are unknown.
    """
    for folder in (start, *start.parents):
        path = folder / _FILE
        table = _read_table(path) if path.is_file() else None
        if table is not None:
            return _from_table(table, path)
    return ()


def _read_table(path: Path) -> Any:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # what is no TOML or no UTF-8 is a ValueError
        raise UsageError(
            f"cannot be read: {error}", where=str(path), hint="repair it, or run from elsewhere"
        ) from error
    tools = document.get("tool", {})
    return tools.get("dwca-export") if isinstance(tools, dict) else None


def _from_table(table: Any, path: Path) -> tuple[Setting, ...]:
    where = f"{path} [{_TABLE}]"
    if not isinstance(table, dict):
        raise UsageError("not a table", where=where, hint=_hint_of_table())
    unknown = sorted(set(table) - {"tolerances"})
    if unknown:
        raise UsageError(f"{unknown[0]!r} is unknown", where=where, hint=_hint_of_table())
    tolerances = table.get("tolerances", {})
    if not isinstance(tolerances, dict) or not all(isinstance(one, dict) for one in tolerances.values()):
        raise UsageError("tolerances is not a table of tables", where=where, hint=_hint_of_table())
    return tuple(
        _setting(name, figure, value, where) for name, values in tolerances.items() for figure, value in values.items()
    )


def _setting(tolerance: str, figure: str, value: Any, where: str) -> Setting:
    _known(tolerance, "tolerance", TOLERANCES, where)
    _known(figure, "figure", FIGURES, where)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        what = f"{tolerance}.{figure} is {value!r}, not a number above 0"
        raise UsageError(what, where=where, hint="0 would refuse rounding, infinity would let anything pass")
    return Setting(tolerance, figure, float(value), where)


def _known(name: str, kind: str, names: Mapping[str, object] | Sequence[str], where: str) -> None:
    if name not in names:
        raise UsageError(f"the {kind} {name!r} is unknown", where=where, hint=f"there are {', '.join(names)}")


def _hint() -> str:
    return f"for example fp32.relative_l2=0.001; figures are {', '.join(FIGURES)}"


def _hint_of_table() -> str:
    return f"[{_TABLE}.tolerances.fp32] with relative_l2 = 0.001, for example"
