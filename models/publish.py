"""Puts a trained network into the zoo: the checkpoint, and beside it the card that says what it is and how good.

`python -m models.publish RUNS/objects/dwca/seed-0 --name thin_objects_dwca` publishes a finished run of the comparison.
What the card says of it was measured on the test part with the file as written, not taken from the run.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dwca_export.errors import InputRefusedError, UsageError
from models import cards, checkpoint, samples
from models.checkpoint import Checkpoint
from models.command import framed
from models.data import fashion
from models.finished_run import FinishedRun, read_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.cards import Facts
    from models.recipe import Recipe

MOST_BYTES = 2_000_000
ARCH = f"{checkpoint.ARCH}classifier"
_OPTIMISER = {"optimiser": "SGD, Nesterov momentum, linear warm-up, cosine to 0"}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_BATCH = 500


def arch_args(recipe: Recipe) -> dict[str, Any]:
    """Arguments of `models.nets.classifier` for 28x28 images.

    Args:
        recipe: What is trained.

    Returns:
        Keyword arguments, plain numbers and strings.
    """
    return {
        "num_classes": len(fashion.LABELS),
        "in_channels": cards.FASHION_SHAPE[1],
        "width": recipe.width,
        "stem_stride": 1,
        "downsamplings": 3,
        "dropout": recipe.dropout,
        "block": recipe.block,
    }


def card_file(checkpoint: Path) -> Path:
    """Name the card of a checkpoint.

    Args:
        checkpoint: `<stem>.pt`.

    Returns:
        `<stem>.card.json` beside it.
    """
    return checkpoint.with_suffix(".card.json")


def publish(network: nn.Module, recipe: Recipe, dataset: fashion.FashionMnist, checkpoint: Path) -> dict[str, Any]:
    """Write checkpoint and card of a classifier of Fashion-MNIST.

    Args:
        network: The trained classifier.
        recipe: How it was trained.
        dataset: What it was trained on and is measured on.
        checkpoint: Where the checkpoint goes. Older files are replaced, each in one step.

    Returns:
        The card.

    Raises:
        UsageError: The files cannot be written there.
    """
    given = Checkpoint(network.state_dict(), ARCH, arch_args(recipe), cards.FASHION_SHAPE)
    return _write(given, checkpoint, asdict(recipe), lambda net: cards.fashion_facts(net, dataset))


def publish_run(folder: Path, name: str, zoo: Path = samples.ZOO, data: Path | None = None) -> dict[str, Any]:
    """Put a finished run into the zoo.

    Args:
        folder: The run's.
        name: Of the network in the zoo.
        zoo: Where checkpoint and card go. Older files of the name are replaced, each in one step.
        data: Folder of the data set that the run was trained on; None for the usual one.

    Returns:
        The card.

    Raises:
        UsageError: The name cannot be one, the run is not finished, or the files cannot be written.
        InputRefusedError: The run is damaged, of another network than the zoo holds, of other data, or does not do
            what it recorded; or its checkpoint is larger than `MOST_BYTES`.
    """
    if not _NAME.fullmatch(name):
        hint = "letters of the alphabet, digits and underscores, all small"
        raise UsageError(f"{name!r} is no name for a network", where="--name", hint=hint)
    run = read_run(folder)
    run.check_data(data)
    recorded: dict[str, Any] = {**run.recipe, "seed": run.seed}

    def measure(network: nn.Module) -> Facts:
        facts = _FACTS[run.task](network, data, run)
        run.check_predictions(facts.predictions)
        return facts

    return _write(run.checkpoint, zoo / f"{name}.pt", recorded, measure)


def _write(
    given: Checkpoint, file: Path, recipe: dict[str, Any], measure: Callable[[nn.Module], Facts]
) -> dict[str, Any]:
    content = given.content()
    if len(content) > MOST_BYTES:
        what = f"the checkpoint has {len(content) / 1e6:.2f} MB, the zoo takes {MOST_BYTES / 1e6:.0f} MB"
        raise InputRefusedError(what, where=str(file), hint="train it with a smaller width")
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.stem}-") as folder:
            new = Path(folder) / file.name
            new.write_bytes(content)
            written = checkpoint.read(new)
            card = cards.card(file.stem, written, content, {**_OPTIMISER, **recipe}, measure(written.network()))
            new_card = card_file(new)
            text = json.dumps(card, indent=2, allow_nan=False) + "\n"
            new_card.write_text(text, encoding="utf-8")
            new.replace(file)
            new_card.replace(card_file(file))
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror})", where=str(file), hint="--out or --zoo names another place"
        ) from error
    return card


_FACTS: dict[str, Callable[[nn.Module, Path | None, FinishedRun], Facts]] = {
    "objects": lambda network, data, _: cards.objects_facts(network, data),
    "scenes": lambda network, data, run: cards.scenes_facts(network, data, run.checkpoint.extras.get("detection")),
    "fashion": lambda network, data, _: cards.fashion_facts(network, fashion.load(data)),
}


def load(checkpoint_file: Path) -> nn.Module:
    """Read a checkpoint that `publish` or `publish_run` wrote.

    Args:
        checkpoint_file: The file.

    Returns:
        The network, in evaluation mode.

    Raises:
        InputRefusedError: It cannot be read, is damaged, or holds something else.
    """
    return checkpoint.read(checkpoint_file).network()


@torch.no_grad()
def predict(network: nn.Module, images: fashion.Bytes) -> npt.NDArray[np.int64]:
    """Classify images of Fashion-MNIST.

    Args:
        network: A classifier in evaluation mode.
        images: uint8 `(N, 28, 28)`.

    Returns:
        int64 `(N,)`, the class of the highest logit.
    """
    inputs = torch.from_numpy(fashion.normalise(images))
    classes = [network(batch).argmax(1) for batch in torch.split(inputs, _BATCH)]
    return np.asarray(torch.cat(classes).numpy(), np.int64)


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    card = publish_run(options.run, options.name, options.zoo, options.data)
    measured = next(f"{name} {value}" for name, value in card["metrics"].items())
    print(f"{measured}: {options.zoo / options.name}.pt and its card; dwca-export zoo:{options.name} exports it")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.publish", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--name", required=True, help="of the network in the zoo")
    parser.add_argument("--zoo", type=Path, default=samples.ZOO, help="folder of the zoo (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder of the run's data set (else the usual one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
