"""The smallest network with a DWCA block."""

from __future__ import annotations

from torch import Tensor, nn

from dwca_export.block import DWCABlock

SHAPE = (1, 3, 24, 16)


class Tiny(nn.Module):
    def __init__(self, channels: int = 8, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, 2, 1)
        self.block = DWCABlock(channels, channels)
        self.head = nn.Linear(channels, classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.block(self.stem(image)).mean((2, 3)))


def tiny(channels: int = 8, classes: int = 4) -> Tiny:
    return Tiny(channels, classes)
