"""The finished runs of a comparison, read and checked: what is compared was trained alike on the same data."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import InputRefusedError
from models.experiment import what
from models.experiment.one_run import PREDICTIONS, RESULT, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from models.experiment.what import Run

# What variants may differ in, and only as the table of variants says; all else of their recipes is the same.
_OWN = ("block", "width", "seed")
# The learning rate goes with the batch.
_OWN_BATCH = ("batch", "lr")
_AGAIN = "remove the run's folder and train it again"


@dataclass(frozen=True)
class Finished:
    """A run that is finished.

    Attributes:
        run: Which.
        result: The content of its `result.json`.
        predictions: The arrays of its `predictions.npz`.
    """

    run: Run
    result: Mapping[str, Any]
    predictions: Mapping[str, npt.NDArray[Any]]


def read(folder: Path, runs: Iterable[Run]) -> tuple[list[Finished], list[Run]]:
    """Read runs.

    Args:
        folder: Of all runs.
        runs: Those wanted, of one task.

    Returns:
        Those that are finished, and those that are not.

    Raises:
        InputRefusedError: A run is damaged, or two of them were not trained alike or not on the same data.
    """
    found, missing = [], []
    for run in runs:
        place = run.folder(folder)
        if (place / RESULT).exists():
            found.append(_read(run, place))
        else:
            missing.append(run)
    _require_alike(found)
    return found, missing


def by_variant(found: Sequence[Finished]) -> dict[str, dict[int, Finished]]:
    """Arrange runs by variant and seed."""
    arranged: dict[str, dict[int, Finished]] = {}
    for one in found:
        arranged.setdefault(one.run.variant, {})[one.run.seed] = one
    return arranged


def shared_recipe(one: Finished) -> dict[str, Any]:
    """What the recipe of a run has in common with those of the other variants, by design."""
    variant = what.variant_of(one.run.task, one.run.variant)
    own = set(_OWN)
    own |= set(_OWN_BATCH) if variant.batch is not None else set()
    own |= {"epochs"} if variant.epochs is not None else set()
    return {key: value for key, value in one.result["recipe"].items() if key not in own}


def _read(run: Run, place: Path) -> Finished:
    result = _json(place / RESULT)
    named = (result.get("schema"), result.get("task"), result.get("variant"), result.get("seed"))
    if named != (SCHEMA, run.task, run.variant, run.seed):
        raise InputRefusedError(f"it is of another run: {named}", where=str(place / RESULT), hint=_AGAIN)
    lacking = [key for key in ("recipe", "metrics", "dataset", "parameters") if key not in result]
    if lacking:
        raise InputRefusedError(f"it lacks {', '.join(lacking)}", where=str(place / RESULT), hint=_AGAIN)
    _require_its_own(run, result["recipe"], place / RESULT)
    return Finished(run, result, _arrays(place / PREDICTIONS))


def _require_its_own(run: Run, recipe: Mapping[str, Any], file: Path) -> None:
    """Hold what makes a run the variant that it is called to the table of variants."""
    planned = asdict(what.recipe_of(run))
    lacking = sorted(planned.keys() - recipe.keys())
    if lacking:
        raise InputRefusedError(f"its recipe lacks {', '.join(lacking)}", where=str(file), hint=_AGAIN)
    fixed = (*_OWN, "batch")
    different = [f"{key} {recipe[key]}, not {planned[key]}" for key in fixed if recipe[key] != planned[key]]
    if different:
        raise InputRefusedError(f"it was trained with {', '.join(different)}", where=str(file), hint=_AGAIN)


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputRefusedError(f"it cannot be read ({error})", where=str(file), hint=_AGAIN) from error
    if not isinstance(content, dict):
        raise InputRefusedError("it holds no JSON object", where=str(file), hint=_AGAIN)
    return content


def _arrays(file: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputRefusedError(f"it cannot be read ({error})", where=str(file), hint=_AGAIN) from error
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputRefusedError(f"{name} holds what is no number", where=str(file), hint=_AGAIN)
    return arrays


def _require_alike(found: Sequence[Finished]) -> None:
    for one in found[1:]:
        first = found[0]
        if one.result["dataset"] != first.result["dataset"]:
            raise InputRefusedError(f"{one.run} and {first.run} are of different data", hint=_AGAIN)
        _require_same(one, first, shared_recipe(one), shared_recipe(first))
    for seeds in by_variant(found).values():
        first, *others = seeds.values()
        for one in others:
            _require_same(one, first, *({**run.result["recipe"], "seed": None} for run in (one, first)))


def _require_same(one: Finished, first: Finished, a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    different = sorted(key for key in a.keys() & b.keys() if a[key] != b[key])
    if different:
        said = f"{one.run} and {first.run} were trained with different {', '.join(different)}"
        raise InputRefusedError(said, hint=_AGAIN)
