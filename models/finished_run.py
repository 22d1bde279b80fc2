"""A finished run of the comparison, read from its folder and held to what it recorded."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import InputRefusedError, UsageError
from models import checkpoint, nets
from models.detection.average_precision import MISSED, Boxes, find
from models.experiment.one_run import PREDICTIONS, RESULT, SCHEMA, WEIGHTS
from models.experiment.tasks import IDENTIFY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from models.checkpoint import Checkpoint

    Logits = npt.NDArray[np.float32]

FACTORIES: Mapping[str, str] = {"objects": "classifier", "scenes": "detector", "fashion": "classifier"}
"""What the network of each task is built by."""

# Another number of threads, or another processor, rounds otherwise: logits change by less than this share of their
# norm, and of a hundred boxes one may cross the lowest score or the overlap at which another one suppresses it.
_ROUNDING = 0.02
_BORDERLINE = 0.01
_SAME_BOX = 0.9
_HINT = "run the training again"


@dataclass(frozen=True)
class FinishedRun:
    """What a run's folder holds.

    Attributes:
        folder: The folder.
        task: "objects", "scenes" or "fashion".
        variant: "dwca" or "baseline".
        seed: Of everything random in it.
        recipe: How it was trained.
        dataset: `name` and `sha256` of what it was trained on.
        checkpoint: The network.
    """

    folder: Path
    task: str
    variant: str
    seed: int
    recipe: Mapping[str, Any]
    dataset: Mapping[str, Any]
    checkpoint: Checkpoint

    def check_data(self, data: Path | None) -> None:
        """Hold a data set to that of the run.

        Args:
            data: Folder of the data set; None for the usual one.

        Raises:
            InputRefusedError: They differ, or the set is absent or damaged.
        """
        found = IDENTIFY[self.task](data)
        if found != dict(self.dataset):
            raise InputRefusedError(
                f"it was trained on {_named(self.dataset)}, the data here are {_named(found)}",
                where=str(self.folder),
                hint="--data names the folder of the run's own data",
            )

    def check_predictions(self, predictions: Boxes | Logits | None) -> None:
        """Hold what the published file does to what the run recorded of its network.

        Args:
            predictions: On the test part: logits, or the boxes of a detector.

        Raises:
            InputRefusedError: They differ by more than rounding can make them: the folder's files are of several runs.
        """
        arrays = _read_arrays(self.folder / PREDICTIONS)
        try:
            fault = _boxes_fault(predictions, arrays) if isinstance(predictions, Boxes) else ""
            fault = _logits_fault(predictions, arrays) if isinstance(predictions, np.ndarray) else fault
        except KeyError as error:
            fault = f"it lacks the array {error}"
        if fault:
            raise InputRefusedError(fault, where=str(self.folder / PREDICTIONS), hint=_HINT)


def read_run(folder: Path) -> FinishedRun:
    """Read a run of the networks that the zoo holds.

    Args:
        folder: `RUNS/<task>/<variant>/seed-<n>`.

    Raises:
        UsageError: There is no finished run.
        InputRefusedError: It is damaged, or of another network.
    """
    file = folder / RESULT
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "python -m models.experiment.run trains, and goes on where it was interrupted"
        raise UsageError("there is no finished run: it has no result.json", where=str(folder), hint=hint) from None
    except (OSError, ValueError) as error:
        raise InputRefusedError(f"it cannot be read ({error})", where=str(file), hint=_HINT) from error
    _check_result(result, file)
    given = checkpoint.read(folder / WEIGHTS)
    _check_network(given, result, folder / WEIGHTS)
    about = {name: result[name] for name in ("task", "variant", "seed", "recipe", "dataset")}
    return FinishedRun(folder, checkpoint=given, **about)


def _check_result(result: Any, file: Path) -> None:
    kinds = {"task": str, "variant": str, "seed": int, "recipe": dict, "dataset": dict, "parameters": int}
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise InputRefusedError(f"it is not of schema {SCHEMA}", where=str(file), hint=_HINT)
    wrong = [name for name, kind in kinds.items() if not isinstance(result.get(name), kind)]
    if wrong:
        raise InputRefusedError(f"it lacks {', '.join(wrong)}", where=str(file), hint=_HINT)
    if result["task"] not in FACTORIES:
        known = ", ".join(FACTORIES)
        raise InputRefusedError(f"its task is {result['task']!r}", where=str(file), hint=f"tasks are {known}")
    if result["variant"] not in nets.BLOCKS:
        what = f"its variant is {result['variant']!r}"
        raise InputRefusedError(what, where=str(file), hint=f"the zoo holds {' and '.join(nets.BLOCKS)}")


def _check_network(given: Checkpoint, result: Mapping[str, Any], file: Path) -> None:
    arch = f"{checkpoint.ARCH}{FACTORIES[result['task']]}"
    built_from = given.arch_args.get("block")
    if given.arch != arch or built_from != result["variant"]:
        what = f"it holds {given.arch} of {built_from!r}, the run says {arch} of {result['variant']!r}"
        raise InputRefusedError(what, where=str(file), hint=_HINT)
    parameters = sum(parameter.numel() for parameter in given.network().parameters())
    if parameters != result["parameters"]:
        what = f"it has {parameters} parameters, the run says {result['parameters']}"
        raise InputRefusedError(what, where=str(file), hint=_HINT)


def _read_arrays(file: Path) -> dict[str, Any]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputRefusedError(f"it cannot be read ({error})", where=str(file), hint=_HINT) from error


def _logits_fault(logits: Logits, recorded: Mapping[str, Any]) -> str:
    if logits.shape != recorded["logits"].shape:
        return f"it has logits {recorded['logits'].shape}, the network gives {logits.shape}"
    if not np.isfinite(recorded["logits"]).all():
        return "its logits are no finite numbers"
    difference, norm = (float(np.linalg.norm(one)) for one in (logits - recorded["logits"], recorded["logits"]))
    # Written so that NaN, of which every comparison is false, is a fault.
    return "" if difference <= _ROUNDING * norm else f"weights.pt gives other logits, by {difference:.3g} of {norm:.3g}"


def _boxes_fault(detected: Boxes, arrays: Mapping[str, Any]) -> str:
    recorded = Boxes(**{name: arrays[name] for name in ("boxes", "labels", "scene", "scores")})
    count = len(recorded.scores)
    absent = count - int((find(detected, recorded, _SAME_BOX) != MISSED).sum())
    if absent > max(1, _BORDERLINE * count) or len(detected.scores) - count > max(1, _BORDERLINE * count):
        return f"of its {count} boxes weights.pt gives {count - absent}, and {len(detected.scores)} in all"
    return ""


def _named(dataset: Mapping[str, Any]) -> str:
    return f"{dataset.get('name')} ({str(dataset.get('sha256'))[:12]})"
