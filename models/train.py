"""Trains the classifier on Fashion-MNIST: `python -m models.train --block dwca`, from the root of the repository."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from models import controls, nets
from models.classification import ClassificationTask
from models.command import framed
from models.data import fashion
from models.experiment.tasks.fashion import NORMALISATION
from models.publish import arch_args, card_file, publish
from models.recipe import MIRRORS, Recipe
from models.training import Epoch, train

if TYPE_CHECKING:
    from collections.abc import Callable

ZOO = Path(__file__).parent / "zoo"


def train_and_publish(
    recipe: Recipe, dataset: fashion.FashionMnist, checkpoint: Path, report: Callable[[str], None]
) -> dict[str, Any]:
    """Train a classifier from its seed, and write checkpoint and card.

    Args:
        recipe: What to train and how.
        dataset: What to train on and to measure on.
        checkpoint: Where the checkpoint goes; the card goes beside it.
        report: Is given one line per epoch.

    Returns:
        The card.

    Raises:
        UsageError: The recipe cannot be obeyed, the training diverged, or the files cannot be written. Nothing is
            written then.
    """
    network = nets.classifier(**arch_args(recipe))
    controls.initialise(network, recipe.seed)
    # On CPUs, channels_last takes two thirds of the time of torch's default layout here.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # absent from torch's stub
    task = ClassificationTask(dataset.train.images[..., None], dataset.train.labels, NORMALISATION, repeat_border=False)
    train(network, recipe, task, lambda epochs: report(_line(epochs[-1], recipe)))
    return publish(network, recipe, dataset, checkpoint)


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    options = vars(_parser().parse_args(arguments))
    out, directory, threads = options.pop("out"), options.pop("data"), options.pop("threads")
    if threads:
        torch.set_num_threads(threads)
    recipe = Recipe(**options)
    checkpoint = out or ZOO / f"fashion_{recipe.block}.pt"
    card = train_and_publish(recipe, fashion.load(directory), checkpoint, lambda line: print(line, flush=True))
    print(f"test accuracy {card['metrics']['test_accuracy']:.4f}: {checkpoint}, {card_file(checkpoint)}")
    return 0


def _line(epoch: Epoch, recipe: Recipe) -> str:
    return (
        f"epoch {epoch.epoch}/{recipe.epochs}  loss {epoch.loss:.4f}  training accuracy {epoch.train_accuracy:.4f}  "
        f"{epoch.seconds:.0f} s"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.train", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for option in fields(Recipe):
        choices = {"block": tuple(nets.BLOCKS), "mirror": MIRRORS}.get(option.name)
        name = f"--{option.name.replace('_', '-')}"
        parser.add_argument(name, type=type(option.default), default=option.default, choices=choices)
    parser.add_argument("--data", type=Path, help=f"folder of the IDX files (else ${fashion.ENVIRONMENT_VARIABLE})")
    parser.add_argument("--out", type=Path, help="checkpoint to write (else models/zoo/fashion_BLOCK.pt)")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as many as it chooses")
    return parser


if __name__ == "__main__":
    sys.exit(main())
