"""The tasks of the comparison, by name: to add one is to add a file here and a row to `OPEN` and to `what.VARIANTS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.experiment.tasks import fashion, objects, scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from models.experiment.tasks.task import ExperimentTask

IDENTIFY: Mapping[str, Callable[[Path | None], dict[str, str]]] = {
    "objects": objects.identify,
    "scenes": scenes.identify,
    "fashion": fashion.identify,
}
"""What says which data a folder holds, by `name` and `sha256`, or refuses it."""

OPEN: Mapping[str, Callable[[Path | None, str], ExperimentTask]] = {
    "objects": objects.open_task,
    "scenes": scenes.open_task,
    "fashion": fashion.open_task,
}
"""What reads the data of a folder (None: where the task's data are by default) onto a device."""
