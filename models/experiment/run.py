"""Trains the networks of the comparison: `python -m models.experiment.run --task objects`, from the repository's root.

Every run is a process of its own with one thread. Runs that are finished are left alone and interrupted ones are taken
up again, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dwca_export.errors import DwcaExportError, UsageError
from models.experiment import what
from models.experiment.children import Children
from models.experiment.one_run import finished
from models.experiment.tasks import IDENTIFY
from models.experiment.worker import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.experiment.what import Run
    from models.recipe import Recipe

RUNS = Path("runs")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Settings:
    """What holds for all runs of one command.

    Attributes:
        data: Folder of the data; None: the task's default.
        runs: Folder that the runs are written to.
        jobs: Runs at a time.
        device: "cpu" or "cuda".
        changes: Fields of the recipe that are set for all variants alike.
    """

    data: Path | None = None
    runs: Path = RUNS
    jobs: int = 1
    device: str = "cpu"
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UsageError(f"{self.jobs} runs at a time cannot be", where="--jobs", hint="it is at least 1")


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0 when all runs are finished, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        runs = what.runs_of(options.task, options.variant, options.seeds)
        changes = {name: getattr(options, name) for name in _CHANGES if getattr(options, name) is not None}
        device = choose_device(options.device)
        settings = Settings(options.data, options.runs, options.jobs, device, changes)
        failures = run_all(runs, settings, console)
        _require_none(failures, len(runs))
    except DwcaExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from the last whole epochs", file=sys.stderr)
        return INTERRUPTED
    print(f"{len(runs)} runs are finished: {options.runs}")
    return 0


def choose_device(name: str) -> str:
    """Choose where to train.

    Args:
        name: "auto", "cpu" or "cuda".

    Returns:
        "cpu" or "cuda"; for "auto", cuda where there is one.

    Raises:
        UsageError: cuda is asked for and not there.
    """
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UsageError("torch sees no CUDA device", where="--device", hint="leave it out, or say --device cpu")
    return "cuda" if there and name != "cpu" else "cpu"


def parse_seeds(text: str) -> list[int]:
    """Read a list of seeds.

    Args:
        text: Such as "0-4" or "0,2,5-7".

    Returns:
        The seeds in that order, each once.

    Raises:
        argparse.ArgumentTypeError: It is no such list.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            numbers = range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds such as 0-4 or 0,2") from None
        if not numbers:
            raise argparse.ArgumentTypeError(f"{part!r} runs backwards")
        seeds.update(dict.fromkeys(numbers))
    return list(seeds)


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


def _require_none(failures: dict[Run, str], total: int) -> None:
    if failures:
        lines = "".join(f"\n  {run}: {failure}" for run, failure in failures.items())
        raise DwcaExportError(
            f"{len(failures)} of {total} runs failed:{lines}",
            hint="the others are finished; the same command tries again",
        )


# Options that set a field of the recipe, for all variants alike.
_CHANGES = {"epochs": int, "lr": float, "weight_decay": float, "warmup_epochs": float}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.experiment.run", description=__doc__)
    parser.add_argument("--task", required=True, choices=what.TASKS)
    parser.add_argument("--variant", nargs="+", default=[], help="of the task; all of them by default")
    parser.add_argument("--seeds", type=parse_seeds, default=list(what.SEEDS), help="such as 0-4 (the default) or 0,2")
    for name, kind in _CHANGES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help="else what the task's recipe says")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder of the task's data; by default where they are built")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder to write to (%(default)s)")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="auto is cuda where there is one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
