"""Fills a page with what is generated: between `<!-- begin: NAME -->` and `<!-- end: NAME -->`, and nowhere else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError
from models.experiment.tables import tables
from models.experiment.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]

_BLOCK = re.compile(r"(<!-- begin: ([\w-]+) -->\n)(.*?)(<!-- end: \2 -->)", re.DOTALL)
_MISSING = "*Not measured.*"
_REAL = "thin-objects"


def filled(page: str, document: Document) -> str:
    """The page with its generated parts made anew.

    Args:
        page: The page, in whatever state its generated parts are.
        document: As docs/comparison.json has it.

    Raises:
        InputRefusedError: A table has no place in the page.
    """
    made = {**tables(document), "verdict": verdict(document), "status": status(document)}
    places = {found[1] for found in _BLOCK.findall(page)}
    if lacking := sorted(made.keys() - places):
        hint = "write <!-- begin: NAME --> and <!-- end: NAME --> where it belongs"
        raise InputRefusedError(f"the page has no place for {', '.join(lacking)}", where="comparison.md", hint=hint)
    return _BLOCK.sub(lambda found: f"{found[1]}\n{made.get(found[2], _MISSING)}\n\n{found[4]}", page)


def status(document: Document) -> str:
    """What the figures are of: data, seeds and epochs; and loudly what is missing."""
    said = [_missing(document["missing"])] if document["missing"] else []
    said += [_of_task(task, document[task]) for task in ("objects", "scenes", "fashion") if task in document]
    return "\n".join(f"- {line}" for line in said)


def _missing(missing: list[str]) -> str:
    named = "; ".join(missing)
    return f"**Incomplete: what follows lacks {len(missing)} of its parts and proves nothing.** Missing: {named}."


def _of_task(name: str, task: Document) -> str:
    seeds = sorted({len(one["seeds"]) for one in task["variants"].values()})
    counts = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    real = (
        ""
        if name == "fashion" or task["dataset"]["name"] == _REAL
        else " **These are generated shapes, not the data.**"
    )
    recipe, dataset = task["recipe"], task["dataset"]
    drawings = f" of {task['vendors']} vendors' drawings" if name == "objects" else ""
    return (
        f"`{name}`: {task['test_images']} test images{drawings}, seeds: {counts}, epochs: {recipe['epochs']}; "
        f"data {dataset['name']}, SHA-256 `{dataset['sha256'][:12]}`.{real}"
    )
