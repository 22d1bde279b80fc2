"""Carries out one run and writes its folder.

`log.csv` and `state.pt` (the training, to be taken up again) after every epoch; at the end `weights.pt`,
`predictions.npz` and, last of all, `result.json`: where that is, the run is finished, and `state.pt` is gone.
"""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from dwca_export.errors import InputRefusedError, UsageError
from models import checkpoint, controls
from models.experiment import what
from models.experiment.networks import COMMON, FACTORIES
from models.experiment.tasks import OPEN
from models.training import Epoch, train
from models.training_state import StateFile
from models.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from models.experiment.tasks.task import ExperimentTask
    from models.experiment.what import Run
    from models.recipe import Recipe

SCHEMA = 1
TRUNK = "trunk."
RESULT, WEIGHTS, PREDICTIONS, LOG, STATE = "result.json", "weights.pt", "predictions.npz", "log.csv", "state.pt"


def finished(run: Run, recipe: Recipe, dataset: Mapping[str, str], runs: Path) -> dict[str, Any] | None:
    """Read what came out of a run.

    Args:
        run: The run.
        recipe: How it is to be trained.
        dataset: Name and hash of the data that it is to be trained on.
        runs: Folder of all runs.

    Returns:
        The content of its `result.json`; None where the run is not finished.

    Raises:
        InputRefusedError: The file is damaged, or is of another recipe or of other data.
    """
    file = run.folder(runs) / RESULT
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        kept = {name: dict(content[name]) for name in ("recipe", "dataset")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "remove the run's folder, and it starts anew"
        raise InputRefusedError(f"it cannot be read ({error})", where=str(file), hint=hint) from error
    asked = {"recipe": asdict(recipe), "dataset": dict(dataset)}
    for name, value in asked.items():
        if kept[name] != value:
            different = [key for key in value if kept[name].get(key) != value[key]]
            raise InputRefusedError(
                f"this finished run is of another {name} ({', '.join(different)})",
                where=str(file),
                hint="--runs names another folder; or remove the run's folder, and it starts anew",
            )
    return content


def carry_out(
    run: Run,
    recipe: Recipe,
    dataset: Mapping[str, str],
    data: Path | None,
    runs: Path,
    device: str,
    report: Callable[[list[Epoch]], None],
) -> dict[str, Any]:
    """Train, measure and write one run, from where it was interrupted if it was.

    Args:
        run: The run.
        recipe: How it is trained.
        dataset: Name and hash of the data.
        data: Folder of the data; None: the task's default.
        runs: Folder of all runs.
        device: "cpu" or "cuda".
        report: Is given all epochs so far after each.

    Returns:
        The content of `result.json`.

    Raises:
        InputRefusedError: The data or the kept training cannot be used.
        UsageError: The training diverged, and neither weights nor result are there; or a file cannot be written.
    """
    folder = run.folder(runs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _carry_out(run, recipe, dataset, OPEN[run.task](data, device), runs, device, report)
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror})", where=str(folder), hint="--runs names another folder"
        ) from error


def build(run: Run, task: ExperimentTask) -> tuple[nn.Module, str, dict[str, Any]]:
    """Build the network of a run, initialised by its seed.

    Args:
        run: The run.
        task: Its task.

    Returns:
        The network on the CPU, and what `--arch` and `--arch-args` take to build it.
    """
    common = COMMON[run.task]
    arch, arguments = what.network_of(what.variant_of(run.task, run.variant), common.factory, common.arguments)
    network = FACTORIES[arch](**arguments)
    controls.initialise(network, run.seed)
    if task.prepare is not None:
        task.prepare(network)
    return network, arch, arguments


def take_trunk(network: nn.Module, run: Run, runs: Path) -> None:
    """Give a network the trunk that a finished run has trained.

    Args:
        network: Changed in place; its trunk has the same layers as that of the run.
        run: The finished run.
        runs: Folder of all runs.

    Raises:
        UsageError: The run is not finished.
        InputRefusedError: Its weights are damaged, or are of another trunk.
    """
    folder = run.folder(runs)
    if not (folder / RESULT).exists():
        hint = f"python -m models.experiment.run --task {run.task} --variant {run.variant} --seeds {run.seed}"
        raise UsageError(f"{run} is not finished, and its trunk is to begin with", where=str(folder), hint=hint)
    state = checkpoint.read(folder / WEIGHTS).state_dict
    trunk = {name.removeprefix(TRUNK): value for name, value in state.items() if name.startswith(TRUNK)}
    try:
        network.get_submodule(TRUNK.rstrip(".")).load_state_dict(trunk)
    except (AttributeError, RuntimeError) as error:
        hint = "remove the run's folder, and train it again"
        raise InputRefusedError("its trunk is another one", where=str(folder / WEIGHTS), hint=hint) from error


def _carry_out(
    run: Run,
    recipe: Recipe,
    dataset: Mapping[str, str],
    task: ExperimentTask,
    runs: Path,
    device: str,
    report: Callable[[list[Epoch]], None],
) -> dict[str, Any]:
    start = time.monotonic()
    folder = run.folder(runs)
    network, arch, arguments = build(run, task)
    pretraining = what.pretraining_of(run)
    if pretraining is not None:
        take_trunk(network, pretraining, runs)
    # On CPUs, channels_last takes two thirds of the time of torch's default layout here.
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload] # absent from the stub
    identity = {"recipe": asdict(recipe), "arch": arch, "arch_args": arguments, "dataset": dict(dataset)}
    state = StateFile(folder / STATE, identity)

    def log(epochs: list[Epoch]) -> None:
        write_whole(folder / LOG, _csv(epochs).encode())
        report(epochs)

    try:
        epochs = train(network, recipe, task.training, log, state)
    except UsageError:
        # It would diverge again from there.
        state.path.unlink(missing_ok=True)
        raise
    metrics, arrays = task.test(network)
    result = {
        "schema": SCHEMA,
        "task": run.task,
        "variant": run.variant,
        "seed": run.seed,
        **identity,
        "parameters": sum(p.numel() for p in network.parameters()),
        "metrics": {**metrics, "train_accuracy": epochs[-1].train_accuracy, **_validation(epochs)},
        "seconds": {"training": sum(e.seconds for e in epochs), "last_start": time.monotonic() - start},
        "device": device,
        "torch": torch.__version__,
    }
    stored = checkpoint.Checkpoint(network.cpu().state_dict(), arch, arguments, COMMON[run.task].shape, task.extra)
    write_whole(folder / WEIGHTS, stored.content())
    write_whole(folder / PREDICTIONS, _npz(arrays))
    write_whole(folder / RESULT, (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    state.path.unlink(missing_ok=True)
    return result


def _validation(epochs: list[Epoch]) -> dict[str, float]:
    value = epochs[-1].validation_accuracy
    return {} if value is None else {"validation_accuracy": value}


def _csv(epochs: list[Epoch]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in asdict(epoch).items()} for epoch in epochs)
    return text.getvalue()


def _npz(arrays: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
