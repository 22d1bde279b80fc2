"""Other people's networks as their users would build them; `--arch` takes each of these functions.

The packages are imported in the functions: each needs its own only.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn


def mobilenet(attention: str, groups: int = 0, **arguments: Any) -> nn.Module:
    """timm's mobilenetv3_small_050 with another attention in the place of each squeeze-and-excitation.

    Args:
        attention: Name of the class in `timm.layers.coord_attn`.
        groups: For its normalisation to be a GroupNorm of so many groups; 0 for what it has by default.
        arguments: Its further keyword arguments.
    """
    import timm
    from timm.layers import GroupNorm, coord_attn

    if groups:
        arguments["norm_layer"] = partial(GroupNorm, num_groups=groups)
    network: nn.Module = timm.create_model("mobilenetv3_small_050", pretrained=False)
    for path, module in list(network.named_modules()):
        if type(module).__name__ == "SqueezeExcite":
            channels = module.conv_reduce.in_channels
            network.set_submodule(path, getattr(coord_attn, attention)(channels, **arguments))
    return randomise(network)


def yolo(name: str = "yolov8n.yaml", head: str = "export") -> nn.Module:
    """A YOLO of Ultralytics with DWCA blocks: one in the backbone, three before the head.

    Args:
        name: Ultralytics' name of the network.
        head: "export" returns decoded boxes and scores in one tensor, "eval" the raw maps beside it, "raw" these alone.
    """
    from ultralytics.nn import tasks

    from dwca_export.block import DWCABlock

    tasks.DWCABlock = DWCABlock  # the names in the YAML are looked up there
    config = tasks.yaml_model_load(name)
    _insert_blocks(config)
    network: nn.Module = tasks.DetectionModel(config, nc=4, verbose=False)
    network.model[-1].export = head == "export"
    if head == "raw":
        network.model[-1] = _RawHead(network.model[-1])
    return randomise(network)


def _insert_blocks(config: dict[str, Any]) -> None:
    """Put a block behind the backbone's stage of stride 8 and behind each map that the head reads."""
    layers = [*config["backbone"], *config["head"]]
    behind = {4, *layers[-1][0]}
    position: dict[int, int] = {}
    longer: list[Any] = []
    for index, (sources, repeats, name, arguments) in enumerate(layers):
        moved = [position.get(source, source) for source in ([sources] if isinstance(sources, int) else sources)]
        longer.append([moved[0] if isinstance(sources, int) else moved, repeats, name, arguments])
        if index in behind:
            channels = arguments[0] // 4  # the YAML counts them for four times the width of the "n" networks
            longer.append([-1, 1, "DWCABlock", [channels, channels]])
        position[index] = len(longer) - 1
    end = position[len(config["backbone"]) - 1] + 1
    config["backbone"], config["head"] = longer[:end], longer[end:]


class _RawHead(nn.Module):
    """The convolutions of a Detect head without its decoding: one map per scale, boxes before scores."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.boxes, self.scores = head.cv2, head.cv3
        self.f, self.i, self.type = head.f, head.i, head.type  # how Ultralytics' loop over the layers feeds it

    def forward(self, maps: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        parts = zip(self.boxes, self.scores, maps, strict=True)
        return tuple(torch.cat([boxes(x), scores(x)], dim=1) for boxes, scores, x in parts)


def randomise(network: nn.Module) -> nn.Module:
    """Give normalisations and biases random values, and batch normalisations the statistics of noise that runs through.

    The initial values are the identity, which hides errors, and let the signal die out in deep networks, so that the
    outputs hardly depend on the input.
    """
    generator = torch.Generator().manual_seed(0)
    norms = [module for module in network.modules() if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm))]
    with torch.no_grad():
        for module in network.modules():
            if getattr(module, "bias", None) is not None:
                module.bias.copy_(torch.rand(module.bias.shape, generator=generator) * 0.6 - 0.3)
        for module in norms:
            module.weight.copy_(torch.rand(module.weight.shape, generator=generator) + 0.5)
            module.momentum = None  # a plain mean over all batches
        network.train()
        for _ in range(2):
            network(torch.randn(4, 3, 96, 96, generator=generator))
    return network.eval()
