"""Trains the networks of the comparison: `python -m models.experiment.run --task objects`, from the repository's root.

Every run is a process of its own with one thread. Runs that are finished are left alone and interrupted ones are taken
up again, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.errors import DwcaExportError, UsageError
from models.command import framed, held
from models.experiment import what

if TYPE_CHECKING:
    from models.experiment.what import Run

RUNS = Path("runs")
DEVICES = ("auto", "cpu", "cuda")
MOST_SEEDS = 1000


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
        if self.runs.exists() and not self.runs.is_dir():
            raise UsageError("is not a folder", where=str(self.runs), hint="--runs names the folder to write to")


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0 when all runs are finished, 1 when some failed, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    runs = what.runs_of(options.task, options.variant, options.seeds)
    changes = {name: getattr(options, name) for name in _CHANGES if getattr(options, name) is not None}
    # These take seconds, and nobody should have to look at a traceback for having pressed Ctrl-C meanwhile.
    with held():
        from rich.console import Console

        from models.experiment.side_by_side import run_all
    device = choose_device(options.device)
    settings = Settings(options.data, options.runs, options.jobs, device, changes)
    try:
        failures = run_all(runs, settings, Console(stderr=True))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from the last whole epochs") from None
    _require_none(failures, len(runs))
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
        if numbers[-1] - numbers[0] >= MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"{part!r} is more than {MOST_SEEDS} seeds")
        seeds.update(dict.fromkeys(numbers))
    return list(seeds)


def _require_none(failures: dict[Run, str], total: int) -> None:
    if failures:
        lines = "".join(f"\n  {run}: {failure}" for run, failure in failures.items())
        others = "the others are finished; " if len(failures) < total else ""
        raise DwcaExportError(
            f"{len(failures)} of {total} runs failed:{lines}", hint=f"{others}the same command tries again"
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
