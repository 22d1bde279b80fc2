"""The recipe of the data set, `curation.json`: which drawing shows what, and which vendors are in which part."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError
from models.data.thin_objects import CLASSES, PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FILE = Path(__file__).with_name("curation.json")

_HINT = "correct the recipe, or take back the original"


@dataclass(frozen=True)
class Curation:
    """What `curation.json` says.

    Attributes:
        classes: Class -> its icons, each `set:name`.
        largest_only: Of these icons only the largest connected part is drawn.
        same_vendor: Groups of vendors that draw from each other: one vendor each, for the split.
        parts: Vendor (author of icon sets) -> train, validation or test.
    """

    classes: Mapping[str, tuple[str, ...]]
    largest_only: frozenset[str] = frozenset()
    same_vendor: tuple[tuple[str, ...], ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)

    def labels(self) -> dict[str, int]:
        """Give every icon its label, an index into `CLASSES`."""
        return {icon: label for label, name in enumerate(CLASSES) for icon in self.classes[name]}

    def group(self, vendor: str) -> str:
        """Name the group of vendors that a vendor belongs to: its first member, or the vendor itself."""
        return next((group[0] for group in self.same_vendor if vendor in group), vendor)


def read(file: Path = FILE) -> Curation:
    """Read the recipe.

    Args:
        file: The file.

    Returns:
        What it says.

    Raises:
        InputRefusedError: It cannot be read, a class is unknown or missing, an icon is named twice or is no `set:name`,
            a part is unknown, or a group of vendors lies in two parts.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        curation = _parsed(content)
        fault = _class_fault(curation) or _icon_fault(curation) or _part_fault(curation)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"the recipe cannot be read ({type(error).__name__}: {error})"
        raise InputRefusedError(what, where=str(file), hint=_HINT) from error
    if fault:
        raise InputRefusedError(fault, where=str(file), hint=_HINT)
    return curation


def _parsed(content: Mapping[str, Any]) -> Curation:
    return Curation(
        {name: tuple(icons) for name, icons in content["classes"].items()},
        frozenset(content.get("keep_largest_part_only", ())),
        tuple(tuple(group) for group in content.get("same_vendor", ())),
        dict(content["parts"]),
    )


def _class_fault(curation: Curation) -> str:
    if unknown := sorted(set(curation.classes) - set(CLASSES)):
        return f"unknown class {_listed(unknown)}: the classes are {', '.join(CLASSES)}"
    if missing := [name for name in CLASSES if not curation.classes.get(name)]:
        return f"no icon for class {_listed(missing)}"
    return ""


def _icon_fault(curation: Curation) -> str:
    count = Counter(icon for icons in curation.classes.values() for icon in icons)
    if twice := [icon for icon, times in count.items() if times > 1]:
        return f"named more than once: {_listed(twice)}"
    if malformed := [icon for icon in count if not (isinstance(icon, str) and all(icon.partition(":")))]:
        return f"not of the form set:name: {_listed(malformed)}"
    if stray := sorted(curation.largest_only - set(count)):
        return f"keep_largest_part_only names icons of no class: {_listed(stray)}"
    return ""


def _part_fault(curation: Curation) -> str:
    if unknown := sorted(set(curation.parts.values()) - set(PARTS)):
        return f"unknown part {_listed(unknown)}: the parts are {', '.join(PARTS)}"
    for group in curation.same_vendor:
        if len({curation.parts[vendor] for vendor in group if vendor in curation.parts}) > 1:
            return f"{_listed(group)} draw from each other, but are in different parts"
    return ""


def _listed(names: Iterable[str], most: int = 5) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
