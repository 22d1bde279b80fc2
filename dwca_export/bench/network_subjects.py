"""The depthwise layers of a network that is to be measured, with the sizes that its inputs give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.audit.forked import in_child
from dwca_export.bench.network import Network
from dwca_export.bench.subject import of_network
from dwca_export.bench.variants import Variant
from dwca_export.errors import InputRefusedError
from dwca_export.ncnn.weights import read_weights

if TYPE_CHECKING:
    from dwca_export.bench.subject import Subject
    from dwca_export.bench.target import Target

_TIMEOUT = 600.0


def network_subjects(target: Target) -> tuple[tuple[Subject, ...], tuple[str, ...]]:
    """The depthwise layers of a network, each shape once, with its most exact weights.

    Args:
        target: The network with its inputs, which decide the sizes.

    Returns:
        The layers, and notes on those that cannot be measured.

    Raises:
        InputRefusedError: There is none that can be.
        ConversionError: The weights do not belong to the graph, or ncnn does not run the network.
    """
    precision = next(iter(target.bins))
    weights = read_weights(target.param, target.bins[precision].read_bytes())
    shapes = in_child(lambda: _shapes(target, precision), target.name, _TIMEOUT)
    subjects, passed_over = of_network(target.param, weights, shapes)
    if not subjects:
        reasons = "; ".join(passed_over) or "all convolutions in it are dense, or there is none"
        raise InputRefusedError(
            f"the network has no depthwise layer whose kernels can be compared: {reasons}",
            where=target.name,
            hint="dwca-bench BUNDLE --layers times its layers; --shape 64x56x56 measures a layer of your own",
        )
    return subjects, tuple(f"not measured, {reason}" for reason in passed_over)


def _shapes(target: Target, precision: str) -> dict[str, tuple[int, ...]]:
    with Network(target, Variant(weights=precision), keep_blobs=True) as network:
        return {name: shape for name, (shape, _) in network.blob_sizes().items()}
