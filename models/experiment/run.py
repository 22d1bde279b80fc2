"""Trains the networks of the comparison: `python -m models.experiment.run --task objects`, from the repository's root.

Every run is a process of its own with one thread. Runs that are finished are left alone and interrupted ones are taken
up again, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dwca_export.errors import DwcaExportError, UsageError
from models.experiment import what
from models.experiment.one_run import finished
from models.experiment.tasks import IDENTIFY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.experiment.what import Run
    from models.recipe import Recipe

ROOT = Path(__file__).parents[2]
RUNS = Path("runs")
DEVICES = ("auto", "cpu", "cuda")
_INTERRUPTED = 130


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
    with _progress(console) as progress, _Children() as children, ThreadPoolExecutor(settings.jobs) as pool:
        overall = progress.add_task("runs", total=len(runs), completed=len(runs) - len(todo))

        def one(run: Run) -> str:
            bar = progress.add_task(str(run), total=recipes[run].epochs)
            failure = _child(run, recipes[run], dataset, settings, progress, bar, children)
            progress.remove_task(bar)
            progress.advance(overall)
            progress.console.print(
                f"{run}: {failure or _summary(run, recipes[run], dataset, settings)}", highlight=False, soft_wrap=True
            )
            return failure

        try:
            outcomes = list(pool.map(one, todo))
        except BaseException:
            children.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return {run: failure for run, failure in zip(todo, outcomes, strict=True) if failure}


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
        return _INTERRUPTED
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


class _Children:
    """The processes that are running, so that an interruption can end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def __enter__(self) -> _Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, request: dict[str, Any], errors: Any) -> subprocess.Popen[str]:
        with self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            child = subprocess.Popen(
                [sys.executable, "-m", "models.experiment.worker"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            self._running.add(child)
        assert child.stdin is not None  # noqa: S101 # for the type checker
        child.stdin.write(json.dumps(request))
        child.stdin.close()
        return child

    def ended(self, child: subprocess.Popen[str]) -> None:
        with self._lock:
            self._running.discard(child)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for child in self._running:
                child.terminate()


def _child(
    run: Run,
    recipe: Recipe,
    dataset: dict[str, str],
    settings: Settings,
    progress: Progress,
    bar: TaskID,
    children: _Children,
) -> str:
    """Carry out one run; gives what went wrong, or nothing."""
    request = {
        "run": asdict(run),
        "recipe": asdict(recipe),
        "dataset": dataset,
        "data": str(settings.data.resolve()) if settings.data else None,
        "runs": str(settings.runs.resolve()),
        "device": settings.device,
    }
    with tempfile.TemporaryFile("w+") as errors:
        child = children.start(request, errors)
        assert child.stdout is not None  # noqa: S101 # for the type checker
        for line in child.stdout:
            message = json.loads(line)
            if "epochs" in message:
                progress.update(bar, completed=message["epochs"], description=f"{run} loss {message['loss']:.3f}")
        code = child.wait()
        children.ended(child)
        errors.seek(0)
        text = errors.read().strip()
    return "" if code == 0 else text or f"its process ended with {code}"


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


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


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
