"""The networks of the comparison without their data: what is built, and for which input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError
from models import checkpoint, controls, nets
from models.data import fashion, thin_objects
from models.detection.anchors import PER_SCALE
from models.experiment import what

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import nn

FACTORIES: Mapping[str, Callable[..., nn.Module]] = {
    "models/nets.py:classifier": nets.classifier,
    "models/nets.py:detector": nets.detector,
    "models/controls.py:classifier": controls.classifier,
    "models/controls.py:detector": controls.detector,
}


@dataclass(frozen=True)
class Common:
    """What all networks of a task have in common.

    Attributes:
        factory: "classifier" or "detector".
        arguments: Its arguments.
        shape: Of the input, `(1, C, H, W)`.
    """

    factory: str
    arguments: Mapping[str, Any]
    shape: tuple[int, int, int, int]


_THIN = len(thin_objects.CLASSES)
COMMON: Mapping[str, Common] = {
    "objects": Common(
        "classifier",
        {"num_classes": _THIN, "stem_stride": 2, "downsamplings": 4, "dropout": 0.1},
        (1, 3, thin_objects.OBJECT_SIDE, thin_objects.OBJECT_SIDE),
    ),
    "scenes": Common(
        "detector",
        {"num_classes": _THIN, "anchors": PER_SCALE},
        (1, 3, thin_objects.SCENE_SIDE, thin_objects.SCENE_SIDE),
    ),
    "fashion": Common(
        "classifier",
        {"num_classes": len(fashion.LABELS), "in_channels": 1, "stem_stride": 1, "downsamplings": 3, "dropout": 0.1},
        (1, 1, fashion.SIDE, fashion.SIDE),
    ),
}


def untrained(task: str, variant: what.Variant, seed: int = 0) -> nn.Module:
    """Build the network of a variant, initialised by a seed.

    Args:
        task: A name of `COMMON`.
        variant: The variant.
        seed: Of the first values.

    Raises:
        UsageError: The variant cannot be built.
    """
    common = COMMON[task]
    arch, arguments = what.network_of(variant, common.factory, common.arguments)
    network = FACTORIES[arch](**arguments)
    controls.initialise(network, seed)
    return network.eval()


def trained(weights: Path) -> tuple[nn.Module, checkpoint.Checkpoint]:
    """Read the network of a finished run.

    Args:
        weights: Its `weights.pt`.

    Returns:
        The network in evaluation mode, and what else the file says.

    Raises:
        InputRefusedError: The file is damaged, or its weights are not those of the network that it names.
    """
    content = checkpoint.read(weights)
    if content.arch not in FACTORIES:
        raise InputRefusedError(f"arch {content.arch!r} is unknown", where=str(weights), hint="train the run again")
    network = FACTORIES[content.arch](**content.arch_args)
    try:
        network.load_state_dict(dict(content.state_dict))
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:300]
        raise InputRefusedError(fault, where=str(weights), hint="train the run again") from error
    return network.eval(), content
