"""Proposes which vendor goes into which part, and writes it into the recipe: `python -m models.data.split`.

A vendor is in one part only, with all of its sets and with the vendors that the recipe says it draws from.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dwca_export.errors import InputRefusedError, UsageError
from models.command import framed
from models.data import curation as recipe
from models.data import icons
from models.data.download import ICONS, obtain
from models.data.thin_objects import CLASSES, PARTS
from models.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.data.curation import Curation

CACHE = Path("~/.cache/dwca-export/packages")
# Of the icons of each class, in the order of PARTS.
SHARES = (0.60, 0.12, 0.28)
# Vendors that each class needs in a part, in the order of PARTS.
LEAST_VENDORS = (3, 1, 2)
# A missing vendor weighs more than any unevenness of the shares.
_MISSING = 10.0
_RESTARTS = 40

Integers = npt.NDArray[np.int64]


def propose(curation: Curation, vendors: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Split the vendors so that each class comes close to `SHARES` and has `LEAST_VENDORS` in each part.

    Args:
        curation: The recipe; its own split is not looked at.
        vendors: Set -> vendor.
        seed: The same seed, the same proposal.

    Returns:
        Vendor -> part, by name of vendor.

    Raises:
        InputRefusedError: A class is drawn by too few vendors.
    """
    names = sorted({curation.group(vendor) for vendor in vendors.values()})
    counts = np.zeros((len(names), len(CLASSES)), np.int64)
    for icon, label in curation.labels().items():
        counts[names.index(curation.group(vendors[icon.partition(":")[0]])), label] += 1
    best = _searched(counts, np.random.default_rng(seed))
    if (_vendors_missing(counts, best) > 0).any():
        lacking = [
            name for name, missing in zip(CLASSES, _vendors_missing(counts, best).T, strict=True) if any(missing)
        ]
        what = f"too few vendors draw {', '.join(lacking)}: each class needs {LEAST_VENDORS} in {', '.join(PARTS)}"
        raise InputRefusedError(what, where=str(recipe.FILE), hint="add icons of other vendors to these classes")
    chosen = dict(zip(names, (PARTS[part] for part in best), strict=True))
    return {vendor: chosen[curation.group(vendor)] for vendor in sorted(set(vendors.values()))}


def _searched(counts: Integers, generator: np.random.Generator) -> Integers:
    """Move one vendor at a time for as long as that helps, from many random beginnings; keep the best end."""
    ends = (_improved(counts, generator.choice(len(PARTS), len(counts), p=SHARES)) for _ in range(_RESTARTS))
    return min(ends, key=lambda end: _cost(counts, end))


def _improved(counts: Integers, parts: Integers) -> Integers:
    cost, before = _cost(counts, parts), np.inf
    while cost < before:
        before = cost
        for vendor in range(len(parts)):
            for part in range(len(PARTS)):
                moved = parts.copy()
                moved[vendor] = part
                if (moved_cost := _cost(counts, moved)) < cost:
                    parts, cost = moved, moved_cost
    return parts


def _cost(counts: Integers, parts: Integers) -> float:
    sums = np.stack([counts[parts == part].sum(0) for part in range(len(PARTS))])
    uneven = sums / counts.sum(0) - np.array(SHARES)[:, np.newaxis]
    return float((uneven**2).sum() + _MISSING * _vendors_missing(counts, parts).sum())


def _vendors_missing(counts: Integers, parts: Integers) -> Integers:
    """Count the vendors that classes lack: `(parts, classes)`."""
    found = np.stack([(counts[parts == part] > 0).sum(0) for part in range(len(PARTS))])
    return np.asarray(np.maximum(np.array(LEAST_VENDORS)[:, np.newaxis] - found, 0))


def write(file: Path, parts: Mapping[str, str]) -> None:
    """Put a split into the recipe, in place of the one that it has.

    Args:
        file: The recipe.
        parts: Vendor -> part.

    Raises:
        UsageError: It cannot be written, and is as it was.
    """
    content = json.loads(file.read_text(encoding="utf-8"))
    content["parts"] = dict(parts)
    try:
        write_whole(file, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise UsageError(what, where=str(file), hint="--curation names another recipe") from error


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    curation = recipe.read(options.curation)
    prefixes = sorted({name.partition(":")[0] for name in curation.labels()})
    vendors = icons.authors(obtain(ICONS, options.cache, options.package), prefixes)
    parts = propose(curation, vendors, options.seed)
    write(options.curation, parts)
    for part in PARTS:
        print(f"{part}: {', '.join(sorted(vendor for vendor in parts if parts[vendor] == part))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.data.split", description=__doc__)
    parser.add_argument("--curation", type=Path, default=recipe.FILE, help="the recipe, which is changed")
    parser.add_argument("--cache", type=Path, default=CACHE.expanduser(), help="packages fetched before (%(default)s)")
    parser.add_argument("--package", type=Path, help=f"{ICONS.name} {ICONS.version}, fetched by other means")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
