"""A network to plant faults in; in a module of its own, so that it can be pickled."""

from __future__ import annotations

from torch import nn

from dwca_export.block import DWCABlock


class Net(nn.Module):
    """Two blocks of one shape, with residuals, and a wider one without."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Hardswish())
        self.one = DWCABlock(16, 16)
        self.two = DWCABlock(16, 16)
        self.three = DWCABlock(16, 24, stride=2)
        self.head = nn.Linear(24, 6)

    def forward(self, image):
        return self.head(self.three(self.two(self.one(self.stem(image)))).mean((2, 3)))


def trained_like(net):
    """Statistics and affine parameters that are none of the initial ones, so that leaving them out shows."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return net
