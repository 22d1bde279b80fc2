"""Builds the data set of thin look-alike objects: `python -m models.data.build`.

Fetches one package of icons (104 MB, once), renders those that `curation.json` names, and composes images of them on
photographs. The images are rendered drawings, not photographs of objects.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError, UsageError
from models.command import framed
from models.data import backgrounds, compose, icons, near_duplicates, thin_objects
from models.data import credits as crediting
from models.data import curation as recipe
from models.data.download import ICONS, obtain
from models.data.split import CACHE
from models.data.thin_objects import CLASSES, PARTS
from models.data.write_set import check_target, write_set

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from models.data.curation import Curation
    from models.data.icons import Collection, Icon
    from models.data.render import Drawing

# Which part keeps a drawing that another part has nearly the same of: what is measured on is the scarcest.
KEEPING_ORDER = ("test", "validation", "train")
_TOOLS = ("numpy", "pillow", "resvg-py", "scikit-image")


def build(
    directory: Path,
    package: Path,
    curation: Curation,
    sizes: compose.Sizes,
    report: Callable[[str], None],
    *,
    seed: int = 0,
    processes: int = 1,
    force: bool = False,
) -> dict[str, Any]:
    """Build the set from the package.

    Args:
        directory: Where it goes.
        package: The package of icons, its hash checked.
        curation: The recipe.
        sizes: How many images.
        report: Is given one line per step.
        seed: The same seed, the same images.
        processes: How many processes share the work; the images do not depend on it.
        force: Whether an older set may be replaced.

    Returns:
        What `dataset.json` says.

    Raises:
        UsageError: An older set is in the way, or the folder cannot be written.
        InputRefusedError: The recipe asks for what the package does not hold or its licences do not allow, a vendor is
            in no part, or a part is left without a class.
    """
    check_target(directory, force=force)
    photographs = backgrounds.load()
    collection = icons.read(package, curation)
    _check_vendors(collection, curation)
    drawings = compose.render_all(collection.icons, processes)
    report(f"rendered {len(drawings)} icons of {len(collection.credits)} sets")
    removed = _near_duplicates(collection.icons, drawings, curation)
    report(f"removed {len(removed)} that another vendor drew nearly the same")
    kept = [number for number in range(len(drawings)) if number not in removed]
    material = compose.Material(
        [drawings[number] for number in kept],
        [collection.icons[number].label for number in kept],
        [curation.parts[collection.icons[number].vendor] for number in kept],
        photographs,
        seed,
    )
    _check_parts(material)
    objects, scenes = {}, {}
    for part, objects_wanted, scenes_wanted in zip(PARTS, sizes.objects, sizes.scenes, strict=True):
        objects[part] = compose.objects(material, part, objects_wanted, processes)
        scenes[part] = compose.scenes_of(material, part, scenes_wanted, processes)
        report(f"composed {part}: {objects_wanted} objects, {scenes_wanted} scenes")
    about = {"seed": seed, "icons_per_class": _per_class(material), **_origin(collection, kept, removed)}
    notes = {crediting.FILE: crediting.as_markdown(_credits(collection, kept))}
    return write_set(directory, objects, scenes, about, notes=notes, force=force)


def _origin(collection: Collection, kept: Sequence[int], removed: Mapping[int, tuple[int, int]]) -> dict[str, Any]:
    """Say where the drawings and photographs come from."""
    names = [icon.name for icon in collection.icons]
    sets = [asdict(credit) for credit in _credits(collection, kept)]
    return {
        "name": "thin-objects",
        "icons": [names[number] for number in kept],
        "packages": _packages(),
        "credits": sets + [asdict(photograph) for photograph in backgrounds.PHOTOGRAPHS],
        "near_duplicates": [
            {"removed": names[number], "kept": names[twin], "bits": bits}
            for number, (twin, bits) in sorted(removed.items())
        ],
    }


def _check_vendors(collection: Collection, curation: Curation) -> None:
    vendors = {icon.vendor for icon in collection.icons}
    if stray := sorted(vendors - set(curation.parts)):
        hint = "`python -m models.data.split` proposes a split and writes it into the recipe"
        raise InputRefusedError(f"vendors in no part: {', '.join(stray)}", where=recipe.FILE.name, hint=hint)


def _near_duplicates(
    drawn: Sequence[Icon], drawings: Sequence[Drawing], curation: Curation
) -> dict[int, tuple[int, int]]:
    hashes = [near_duplicates.perceptual_hash(drawing) for drawing in drawings]
    rank = [KEEPING_ORDER.index(curation.parts[icon.vendor]) for icon in drawn]
    order = sorted(range(len(drawn)), key=lambda number: (rank[number], number))
    return near_duplicates.removals(hashes, [curation.group(icon.vendor) for icon in drawn], order)


def _check_parts(material: compose.Material) -> None:
    per_class = _per_class(material)
    for part in PARTS:
        if lacking := [name for name in CLASSES if not per_class[part][name]]:
            what = f"no icon of {', '.join(lacking)} is left in the {part} part"
            raise InputRefusedError(what, where=recipe.FILE.name, hint="`python -m models.data.split` splits anew")


def _per_class(material: compose.Material) -> dict[str, dict[str, int]]:
    count = Counter(zip(material.parts, material.labels, strict=True))
    return {part: {name: count[part, label] for label, name in enumerate(CLASSES)} for part in PARTS}


def _credits(collection: Collection, kept: Sequence[int]) -> list[icons.Credit]:
    used = Counter(collection.icons[number].name.partition(":")[0] for number in kept)
    return [replace(credit, icons=used[credit.prefix]) for credit in collection.credits if used[credit.prefix]]


def _packages() -> dict[str, str]:
    """Name what the images depend on."""
    tools = {name: importlib.metadata.version(name) for name in _TOOLS}
    return {ICONS.name: f"{ICONS.version} {ICONS.integrity}", "python": platform.python_version(), **tools}


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    start = time.monotonic()

    def report(line: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {line}", flush=True)

    if options.processes < 1 or options.seed < 0:
        raise UsageError("--processes is at least 1, --seed at least 0")
    check_target(options.out, force=options.force)
    curation = recipe.read(options.curation)
    package = obtain(ICONS, options.cache, options.package)
    report(f"have {ICONS.name} {ICONS.version}")
    build(
        options.out,
        package,
        curation,
        compose.Sizes(),
        report,
        seed=options.seed,
        processes=options.processes,
        force=options.force,
    )
    report(f"wrote {options.out}, data {thin_objects.dataset_sha256(options.out)[:16]}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.data.build", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=thin_objects.default_directory(), help="folder of the set (%(default)s)"
    )
    parser.add_argument("--cache", type=Path, default=CACHE.expanduser(), help="packages fetched before (%(default)s)")
    parser.add_argument("--package", type=Path, help=f"{ICONS.name} {ICONS.version}, fetched by other means")
    parser.add_argument("--curation", type=Path, default=recipe.FILE, help="another recipe")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="(%(default)s)")
    parser.add_argument("--force", action="store_true", help="replace an older set")
    return parser


if __name__ == "__main__":
    sys.exit(main())
