"""Reads the icons that the recipe names out of the package, and who is to be credited for them."""

from __future__ import annotations

import json
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from models.data.curation import Curation

# SPDX identifiers of licences that ask for no more than that the notice is kept.
LICENCES = ("Apache-2.0", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "Unlicense")

_DEFAULT_SIDE = 16
_GEOMETRY = ("left", "top", "width", "height")
_MOST_ALIASES = 5
_SET_FILE = re.compile(r"package/json/([^/]+)\.json")
_HINT = "correct models/data/curation.json, or take back the original"


@dataclass(frozen=True)
class Icon:
    """One drawing.

    Attributes:
        name: `set:name`.
        label: Index of its class.
        vendor: Author of its set.
        body: SVG elements.
        view_box: left, top, width, height.
        coloured: Whether it brings its own colours; else it is drawn in any one.
        largest_only: Whether only its largest connected part is meant.
    """

    name: str
    label: int
    vendor: str
    body: str
    view_box: tuple[float, float, float, float]
    coloured: bool
    largest_only: bool


@dataclass(frozen=True)
class Credit:
    """Who drew a set, and on which terms it is used."""

    prefix: str
    name: str
    author: str
    licence: str
    url: str
    icons: int


@dataclass(frozen=True)
class Collection:
    """The icons of the recipe in its order, and the credits of their sets by prefix."""

    icons: tuple[Icon, ...]
    credits: tuple[Credit, ...]


def read(package: Path, curation: Curation) -> Collection:
    """Read the icons that the recipe names.

    Args:
        package: The package, its hash checked.
        curation: Which icons.

    Returns:
        Icons and credits.

    Raises:
        InputRefusedError: The package cannot be read, lacks a set or an icon, or a set is not under one of
            `LICENCES`.
    """
    labels = curation.labels()
    prefixes = sorted({name.partition(":")[0] for name in labels})
    about, sets = _documents(package, prefixes)
    for prefix in prefixes:
        _check_licence(prefix, about, package)
    icons = tuple(_icon(name, label, about, sets, curation, package) for name, label in labels.items())
    return Collection(icons, tuple(_credit(prefix, about[prefix], icons) for prefix in prefixes))


def authors(package: Path, prefixes: Iterable[str]) -> dict[str, str]:
    """Look up who drew the sets.

    Args:
        package: The package, its hash checked.
        prefixes: Names of sets.

    Returns:
        Set -> author.

    Raises:
        InputRefusedError: The package cannot be read, or lacks a set.
    """
    about, _ = _documents(package, ())
    for prefix in prefixes:
        if prefix not in about:
            raise _absent(f"there is no icon set {prefix!r}", package)
    return {prefix: about[prefix]["author"]["name"] for prefix in prefixes}


def _documents(package: Path, prefixes: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read `collections.json` and the named sets, in one pass over the archive."""
    wanted = set(prefixes)
    about: dict[str, Any] = {}
    sets: dict[str, Any] = {}
    try:
        with tarfile.open(package, "r|gz") as archive:
            for member in archive:
                match = _SET_FILE.fullmatch(member.name)
                if member.name != "package/collections.json" and not (match and match[1] in wanted):
                    continue
                stream = archive.extractfile(member)
                content = json.loads(stream.read()) if stream else {}
                if match:
                    sets[match[1]] = content
                else:
                    about = content
                if about and len(sets) == len(wanted):
                    break
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        hint = "delete the file, and run the command again"
        raise InputRefusedError(f"it is no complete package ({error})", where=str(package), hint=hint) from error
    for prefix in sorted(wanted):
        if prefix not in about or prefix not in sets:
            raise _absent(f"there is no icon set {prefix!r}", package)
    return about, sets


def _check_licence(prefix: str, about: Mapping[str, Any], package: Path) -> None:
    licence = about[prefix].get("license", {})
    if licence.get("spdx") not in LICENCES:
        what = f"the licence of icon set {prefix!r}, {licence.get('title')!r}, is not one of {', '.join(LICENCES)}"
        raise InputRefusedError(what, where=str(package), hint="take its icons out of models/data/curation.json")


def _icon(
    name: str,
    label: int,
    about: Mapping[str, Any],
    sets: Mapping[str, Any],
    curation: Curation,
    package: Path,
) -> Icon:
    prefix, _, key = name.partition(":")
    document = sets[prefix]
    entry = _resolved(document, key)
    if entry is None:
        raise _absent(f"there is no icon {name}", package)
    if entry.get("hidden"):
        raise _absent(f"icon {name} is withdrawn by its vendor", package)
    # Format: https://iconify.design/docs/types/iconify-json.html
    defaults = {"left": 0, "top": 0, "width": _DEFAULT_SIDE, "height": _DEFAULT_SIDE}
    left, top, width, height = (float(entry.get(k, document.get(k, defaults[k]))) for k in _GEOMETRY)
    return Icon(
        name=name,
        label=label,
        vendor=about[prefix]["author"]["name"],
        body=entry["body"],
        view_box=(left, top, width, height),
        coloured=bool(about[prefix].get("palette")),
        largest_only=name in curation.largest_only,
    )


def _resolved(document: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """Look up an icon. An alias may turn or mirror its parent: as every scene does that at random, it is ignored."""
    changes: dict[str, Any] = {}
    for _ in range(_MOST_ALIASES):
        if key in document["icons"]:
            return {**document["icons"][key], **changes}
        alias = document.get("aliases", {}).get(key)
        if alias is None:
            return None
        changes = {**{k: v for k, v in alias.items() if k != "parent"}, **changes}
        key = alias["parent"]
    return None


def _credit(prefix: str, about: Mapping[str, Any], icons: Iterable[Icon]) -> Credit:
    author, licence = about["author"], about["license"]
    return Credit(
        prefix=prefix,
        name=about["name"],
        author=author["name"],
        licence=licence["spdx"],
        url=licence.get("url") or author.get("url") or "",
        icons=sum(icon.name.startswith(f"{prefix}:") for icon in icons),
    )


def _absent(what: str, package: Path) -> InputRefusedError:
    return InputRefusedError(what, where=str(package), hint=_HINT)
