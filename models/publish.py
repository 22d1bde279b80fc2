"""A trained classifier on disk: the checkpoint, and beside it the card that says what it is and how good."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dwca_export.errors import UsageError
from models import nets, samples
from models.data import fashion

if TYPE_CHECKING:
    from models.recipe import Recipe

ARCH = "models/nets.py:classifier"
INPUT_SHAPE = (1, 1, fashion.SIDE, fashion.SIDE)
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
        "in_channels": INPUT_SHAPE[1],
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
    """Write checkpoint and card; what the card says was measured on the file itself, read again.

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
    content = _serialise(network, arch_args(recipe))
    try:
        with tempfile.TemporaryDirectory(dir=checkpoint.parent, prefix=f".{checkpoint.stem}-") as folder:
            new = Path(folder) / checkpoint.name
            new.write_bytes(content)
            card = _card(checkpoint.stem, recipe, dataset, new)
            new_card = card_file(new)
            new_card.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
            new.replace(checkpoint)
            new_card.replace(card_file(checkpoint))
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror})", where=str(checkpoint), hint="--out names another file"
        ) from error
    return card


def load(checkpoint: Path) -> nn.Module:
    """Read a checkpoint that `publish` wrote.

    Args:
        checkpoint: The file.

    Returns:
        The classifier, in evaluation mode.
    """
    content = torch.load(checkpoint, weights_only=True)
    network = nets.classifier(**content["arch_args"])
    network.load_state_dict(content["state_dict"])
    return network.eval()


@torch.no_grad()
def predict(network: nn.Module, images: fashion.Bytes) -> npt.NDArray[np.int64]:
    """Classify images.

    Args:
        network: A classifier in evaluation mode.
        images: uint8 `(N, 28, 28)`.

    Returns:
        int64 `(N,)`, the class of the highest logit.
    """
    inputs = torch.from_numpy(fashion.normalise(images))
    classes = [network(batch).argmax(1) for batch in torch.split(inputs, _BATCH)]
    return np.asarray(torch.cat(classes).numpy(), np.int64)


def _serialise(network: nn.Module, arguments: dict[str, Any]) -> bytes:
    # Training in channels_last leaves its strides in the weights; a buffer, unlike a file, keeps its name out of the
    # archive, and with it out of the hash.
    state = {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in network.state_dict().items()}
    buffer = io.BytesIO()
    content = {"state_dict": state, "arch": ARCH, "arch_args": arguments, "shape": list(INPUT_SHAPE)}
    torch.save(content, buffer)
    return buffer.getvalue()


def _card(name: str, recipe: Recipe, dataset: fashion.FashionMnist, checkpoint: Path) -> dict[str, Any]:
    network = load(checkpoint)
    return {
        "name": name,
        "task": "image classification",
        "arch": ARCH,
        "arch_args": arch_args(recipe),
        "parameters": sum(p.numel() for p in network.parameters()),
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "licence": "Apache-2.0",
        "data": {
            "name": "Fashion-MNIST",
            "licence": "MIT",
            "source": "https://github.com/zalandoresearch/fashion-mnist, Debian package dataset-fashion-mnist",
            "train_images": len(dataset.train.images),
            "test_images": len(dataset.test.images),
        },
        "recipe": {"optimiser": "SGD, Nesterov momentum, linear warm-up, cosine to 0", **asdict(recipe)},
        "metrics": _metrics(network, dataset.test),
        "input": {
            "shape": list(INPUT_SHAPE),
            "range": [0, 1],
            "mean": [fashion.MEAN],
            "std": [fashion.STD],
            "channels": "grayscale",
        },
        "labels": list(fashion.LABELS),
    }


def _metrics(network: nn.Module, test: fashion.Split) -> dict[str, Any]:
    correct = predict(network, test.images) == test.labels
    return {
        "test_accuracy": round(float(correct.mean()), 4),
        "test_correct": int(correct.sum()),
        "samples_correct": int(correct[: samples.COUNT].sum()),
    }
