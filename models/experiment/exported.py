"""Takes a network of the comparison through the hops of the export, without bundle and proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.artifacts import LoadedModel
from dwca_export.conversion import Opener, convert
from dwca_export.ncnn.weights import to_fp16, write_weights
from dwca_export.optimise import optimise
from dwca_export.progress import Progress
from dwca_export.workers import Workers

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

TIMEOUT = 300.0


@dataclass(frozen=True)
class NcnnFiles:
    """A network in ncnn's files.

    Attributes:
        param: The graph, with the bin of full precision beside it.
        bin_bytes: Size of the weights by precision, `fp32` and `fp16`.
        layers: How many layers ncnn runs.
    """

    param: Path
    bin_bytes: dict[str, int]
    layers: int


def to_ncnn_files(network: nn.Module, shape: tuple[int, ...], param: Path) -> NcnnFiles:
    """Convert a network as `dwca-export` does, for one input size.

    Args:
        network: Any weights; is set to evaluation mode.
        shape: Of the input, with batch axis.
        param: `<stem>.ncnn.param`; the bin goes beside it.

    Raises:
        ConversionError: A hop fails.
    """
    with Workers(TIMEOUT) as workers:
        loaded = LoadedModel(network, "module", "")
        conversion = convert(Opener(loaded), (shape,), Progress(quiet=True), workers, TIMEOUT)
    optimised, _ = optimise(conversion.ncnn)
    full = write_weights(optimised.weights)
    param.write_text(optimised.param.text(), encoding="utf-8")
    param.with_suffix(".bin").write_bytes(full)
    half = write_weights(to_fp16(optimised.param, optimised.weights))
    return NcnnFiles(param, {"fp32": len(full), "fp16": len(half)}, len(optimised.param.layers))
