"""What trained networks look at: `python -m models.experiment.receptive_field`, from the repository's root.

The effective receptive field of Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks" (NeurIPS 2016): the gradient of the output in the middle with respect to the input, its magnitude averaged
over test images. Measured of the last stage with respect to the image, and of the last block of the second stage, which
has stride 1, with respect to that block's own input. Beside them stands how far convolutions reach in theory.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from dwca_export.errors import InputRefusedError
from models.command import framed
from models.data import thin_objects
from models.experiment import what
from models.experiment.json_file import json_text, write_json
from models.experiment.networks import trained
from models.experiment.one_run import RESULT, WEIGHTS
from models.nets import Classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Map = npt.NDArray[np.float64]
    Document = dict[str, Any]

FILE = "receptive_field.json"
VARIANTS = ("baseline", "dwca")
PARTS = ("stage", "block")
SHARES = (0.5, 0.9)
IMAGES = 264
_BATCH = 66
# The second stage has two blocks; its last one keeps size and channels.
_STAGE = 1


def gradient_map(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Map:
    """Magnitude of the gradient of the output in the middle, averaged over images and channels.

    Args:
        function: Maps `(N, C, H, W)` to `(N, C2, H2, W2)`, each image by itself.
        inputs: `(N, C, H, W)`.

    Returns:
        float64 `(H, W)`.
    """
    inputs = inputs.detach().requires_grad_()
    outputs = function(inputs)
    row, column = outputs.shape[2] // 2, outputs.shape[3] // 2
    (gradient,) = torch.autograd.grad(outputs[:, :, row, column].sum(), inputs)
    return np.asarray(gradient.abs().double().mean((0, 1)).numpy())


def area(field: Map, share: float) -> int:
    """The fewest places that hold a share of the whole.

    Args:
        field: Magnitudes `(H, W)`, not all 0.
        share: Between 0 and 1.
    """
    sums = np.cumsum(np.sort(field, axis=None)[::-1])
    return int(np.searchsorted(sums, share * sums[-1] * (1 - 1e-12))) + 1


def shares_of_squares(field: Map) -> list[float]:
    """Share that lies within centred squares of side 1, 3, 5, ...: as far as the map goes.

    The middle is where `gradient_map` has it: half the side, rounded down.
    """
    middle, total = field.shape[0] // 2, field.sum()
    squares = (slice(max(0, middle - half), middle + half + 1) for half in range(middle + 1))
    return [float(field[square, square].sum() / total) for square in squares]


def reach(network: Classifier) -> int:
    """Side of the square of the image that convolutions of the trunk reach from one place of the last stage."""
    side, jump = 1, 1
    for module in network.trunk.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1:
            side += (module.kernel_size[0] - 1) * jump
            jump *= module.stride[0]
    return side


def measure(network: Classifier, images: Tensor) -> dict[str, Map]:
    """Both maps of a trained network.

    Args:
        network: In evaluation mode.
        images: Normalised, `(N, 3, H, W)`.

    Returns:
        By name of `PARTS`.
    """
    block = network.trunk.stages[_STAGE][-1]  # type: ignore[index] # a Sequential
    maps: dict[str, list[Map]] = {part: [] for part in PARTS}
    for batch in torch.split(images, _BATCH):
        maps["stage"].append(gradient_map(lambda x: network.trunk(x)[-1], batch))
        maps["block"].append(gradient_map(block, _input_of(block, network, batch)))
    return {part: np.mean(found, axis=0) for part, found in maps.items()}


def document(runs: Path, data: Path | None, seeds: Sequence[int], images: int = IMAGES) -> Document:
    """Measure the finished runs of both networks.

    Args:
        runs: Folder of all runs.
        data: Folder of the data; None: its default place.
        seeds: Those to measure; the ones that are not finished are left out.
        images: How many test images, evenly spread.

    Returns:
        What goes into `receptive_field.json`.

    Raises:
        InputRefusedError: A network has no finished run, or the data cannot be read.
    """
    test = thin_objects.load_objects(data, "test").images
    chosen = torch.from_numpy(thin_objects.normalise(test[:: max(1, len(test) // images)][:images]))
    found = {name: _variant(name, runs, seeds, chosen) for name in VARIANTS}
    return {"schema": 1, "images": len(chosen), "variants": found}


def _variant(name: str, runs: Path, seeds: Sequence[int], images: Tensor) -> Document:
    folders = {seed: what.Run("objects", name, seed).folder(runs) for seed in seeds}
    finished = [seed for seed, folder in folders.items() if (folder / RESULT).exists()]
    if not finished:
        raise InputRefusedError("there is no finished run", where=f"{runs}/objects/{name}", hint="train it first")
    networks = [_classifier(folders[seed] / WEIGHTS) for seed in finished]
    maps = [measure(network, images) for network in networks]
    described: Document = {"seeds": finished, "reach": reach(networks[0])}
    for part in PARTS:
        fields = [one[part] for one in maps]
        described[part] = {
            "side": len(fields[0]),
            **{f"area{round(100 * share)}": [area(field, share) for field in fields] for share in SHARES},
            "squares": [round(value, 4) for value in np.mean([shares_of_squares(f) for f in fields], axis=0).tolist()],
        }
    return described


def _classifier(weights: Path) -> Classifier:
    network, _ = trained(weights)
    if not isinstance(network, Classifier):
        raise InputRefusedError("it is no classifier", where=str(weights), hint="train the run again")
    return network


def _input_of(block: nn.Module, network: Classifier, batch: Tensor) -> Tensor:
    seen: list[Tensor] = []
    hook = block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    try:
        with torch.no_grad():
            network(batch)
    finally:
        hook.remove()
    return seen[0]


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m models.experiment.receptive_field", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder of the thin objects; by default where they are built")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    content = document(options.runs, options.data, what.SEEDS)
    write_json(content, options.runs / FILE)
    print(json_text(content), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
