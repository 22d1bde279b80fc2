"""Runs of the comparison side by side, each in a process of its own, and what of them is shown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from models.experiment import what
from models.experiment.children import Children
from models.experiment.one_run import finished
from models.experiment.tasks import IDENTIFY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from models.experiment.run import Settings
    from models.experiment.what import Run
    from models.recipe import Recipe


def run_all(runs: Sequence[Run], settings: Settings, console: Console) -> dict[Run, str]:
    """Carry out the runs that are not finished, several at a time.

    Args:
        runs: All of one task.
        settings: What holds for all of them.
        console: Where progress is shown.

    Returns:
        The runs that failed, with what went wrong; the others are finished.

    Raises:
        InputRefusedError: The data cannot be used, or a finished run is of another recipe or of other data.
        UsageError: A recipe is out of its range.
    """
    if not runs:
        return {}
    dataset = IDENTIFY[runs[0].task](settings.data)
    recipes = {run: what.recipe_of(run, **settings.changes) for run in runs}
    todo = [run for run in runs if finished(run, recipes[run], dataset, settings.runs) is None]
    with _Display(console, done=len(runs) - len(todo), total=len(runs)) as display:
        failures = _in_children(todo, recipes, dataset, settings, display)
    return {run: failure for run, failure in failures.items() if failure}


class _Display:
    """A bar for all runs and one for each that is being trained; a line for each that has ended."""

    def __init__(self, console: Console, *, done: int, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console)
        self._runs = self._progress.add_task("runs", total=total, completed=done)
        self._bars: dict[Run, TaskID] = {}

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begins(self, run: Run, epochs: int) -> None:
        self._bars[run] = self._progress.add_task(str(run), total=epochs)

    def hears(self, run: Run, message: dict[str, Any]) -> None:
        if "epochs" in message:
            text = f"{run} loss {message['loss']:.3f}"
            self._progress.update(self._bars[run], completed=message["epochs"], description=text)

    def ends(self, run: Run, line: str) -> None:
        self._progress.remove_task(self._bars.pop(run))
        self._progress.advance(self._runs)
        self._progress.console.print(f"{run}: {line}", highlight=False, markup=False, soft_wrap=True)


def _in_children(
    runs: Sequence[Run], recipes: Mapping[Run, Recipe], dataset: dict[str, str], settings: Settings, display: _Display
) -> dict[Run, str]:
    """Carry out runs, each in a process; gives what went wrong with each, empty where nothing did."""
    children = Children()

    def one(run: Run) -> str:
        display.begins(run, recipes[run].epochs)
        request = _request(run, recipes[run], dataset, settings)
        failure = children.carry_out(request, lambda message: display.hears(run, message))
        display.ends(run, failure or _summary(run, recipes[run], dataset, settings))
        return failure

    with ThreadPoolExecutor(settings.jobs) as pool:
        try:
            return dict(zip(runs, pool.map(one, runs), strict=True))
        except BaseException:
            children.stop()
            pool.shutdown(cancel_futures=True)
            raise


def _request(run: Run, recipe: Recipe, dataset: dict[str, str], settings: Settings) -> dict[str, Any]:
    return {
        "run": asdict(run),
        "recipe": asdict(recipe),
        "dataset": dataset,
        "data": str(settings.data.resolve()) if settings.data else None,
        "runs": str(settings.runs.resolve()),
        "device": settings.device,
    }


def _summary(run: Run, recipe: Recipe, dataset: dict[str, str], settings: Settings) -> str:
    result = finished(run, recipe, dataset, settings.runs)
    if result is None:
        return "no result was written"
    numbers = {name: value for name, value in result["metrics"].items() if isinstance(value, float)}
    return ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
