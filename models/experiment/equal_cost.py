"""How wide a network has to be to cost as much as another: the fair comparison is at equal cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Count the multiply-adds of convolutions and linear layers; element-wise layers and poolings do not count.

    Args:
        network: The network; its mode and its running statistics stay as they are.
        shape: Shape of the input; a batch of one counts one image.

    Returns:
        Multiply-adds of one pass.
    """
    counts: list[int] = []

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)  # noqa: S101 # for the type checker: hooks are on layers that have one
        counts.append(output.numel() * weight[0].numel())

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(shape))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return sum(counts)


def width_of_equal_cost(
    build: Callable[[float], nn.Module], cost: Callable[[nn.Module], float], target: float, widths: Sequence[float]
) -> tuple[float, float]:
    """Search for the width at which a network costs as much as another.

    Args:
        build: Builds the network at a width.
        cost: Its cost, such as its multiply-adds.
        target: The cost of the other network, in the same unit.
        widths: The widths to try.

    Returns:
        The width whose cost comes nearest, and that cost as a fraction of the target.
    """
    ratios = {width: cost(build(width)) / target for width in widths}
    best = min(widths, key=lambda width: abs(ratios[width] - 1))
    return best, ratios[best]
