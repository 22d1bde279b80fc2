"""Reference networks built from the DWCA block: a classifier and a single-shot detector.

Both take `block=`: "dwca" builds them from `DWCABlock`; "baseline" builds the same network, under the same parameter
names outside the blocks, from `BaselineBlock`: a 3x3 depthwise convolution and no attention. A function that builds a
block from its input channels, output channels and stride is taken too.

Else all arguments of `classifier` and `detector` are plain numbers and strings, so that a command line can pass them:
`--arch models/nets.py:classifier --arch-args '{"width": 0.5}'`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from dwca_export.block import DWCABlock, Residual, resolve_residual
from dwca_export.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

BlockFactory = Callable[[int, int, int], nn.Module]

STEM_CHANNELS = 16
# (channels, blocks) per stage: 11 blocks, as many as MobileNetV3-small has. The channels are wider than there, because
# these blocks do not expand: 2.2 M parameters and 50 M multiply-adds at 224x224, against 2.5 M and 56 M.
STAGES = ((32, 1), (64, 2), (128, 4), (256, 4))
HEAD_CHANNELS = 576
HIDDEN_FEATURES = 1024
# Up to here the attention works on max(8, c // 16) == 8 channels, which four groups divide; beyond, on c // 16.
_WIDEST_AT_8 = 128
_ATTENTION_STEP = 8


class BaselineBlock(nn.Module):
    """What `DWCABlock` is compared with: a 3x3 depthwise-separable convolution without attention.

    Shapes:
        input `(N, c1, H, W)`, output `(N, c2, ceil(H / stride), ceil(W / stride))`, both floating point.

    Args:
        c1: Input channels.
        c2: Output channels.
        stride: Stride of the depthwise convolution, along both axes.
        residual: As in `DWCABlock`.

    Raises:
        UsageError: A residual is forced where the shapes of input and output differ.
    """

    def __init__(self, c1: int, c2: int, stride: int = 1, residual: Residual = "auto") -> None:
        super().__init__()
        self.dw_conv = nn.Conv2d(c1, c1, 3, stride, 1, groups=c1, bias=False)
        self.pw_conv = nn.Conv2d(c1, c2, 1, bias=False)
        self.bn = nn.BatchNorm2d(c2)
        self.act = nn.Hardswish()
        self.use_res = resolve_residual(residual, c1, c2, stride, where="BaselineBlock")

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block.

        Args:
            x: `(N, c1, H, W)`, floating point.

        Returns:
            `(N, c2, ceil(H / stride), ceil(W / stride))`, of the dtype of `x`.
        """
        features: Tensor = self.act(self.bn(self.pw_conv(self.dw_conv(x))))
        return x + features if self.use_res else features


def _dwca_block(c1: int, c2: int, stride: int) -> nn.Module:
    return DWCABlock(c1, c2, stride=stride)


def _baseline_block(c1: int, c2: int, stride: int) -> nn.Module:
    return BaselineBlock(c1, c2, stride=stride)


BLOCKS: Mapping[str, BlockFactory] = {"dwca": _dwca_block, "baseline": _baseline_block}


class Trunk(nn.Module):
    """Stem and four stages of blocks; `forward` gives the output of every stage.

    Args:
        in_channels: Channels of the image.
        width: Factor on all channel counts.
        stem_stride: Stride of the first convolution, 1 or 2.
        downsamplings: How many of the four stages, counted from the last, halve the image.
        block: Builds one block from its input channels, output channels and stride.
        channel_step: As in `scale_channels`.
    """

    def __init__(
        self,
        in_channels: int,
        width: float,
        stem_stride: int,
        downsamplings: int,
        block: BlockFactory,
        channel_step: int = _ATTENTION_STEP,
    ) -> None:
        super().__init__()
        _check(in_channels, width, stem_stride, downsamplings, channel_step)
        stem_channels = scale_channels(STEM_CHANNELS, width, channel_step)
        self.channels = tuple(scale_channels(channels, width, channel_step) for channels, _ in STAGES)
        self.stem = _conv_bn_act(in_channels, stem_channels, kernel_size=3, stride=stem_stride)
        self.stages = nn.ModuleList()
        for index, (c1, c2) in enumerate(zip((stem_channels, *self.channels), self.channels, strict=False)):
            stride = 2 if index >= len(STAGES) - downsamplings else 1
            self.stages.append(_stage(c1, c2, STAGES[index][1], stride, block))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute all stages.

        Args:
            x: Images, `(N, in_channels, H, W)`, floating point.

        Returns:
            One tensor `(N, channels[i], H_i, W_i)` per stage.
        """
        outputs: list[Tensor] = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


class Classifier(nn.Module):
    """The trunk, a 1x1 convolution, global pooling and two linear layers; see `classifier`."""

    def __init__(
        self, trunk: Trunk, num_classes: int, width: float, dropout: float, channel_step: int = _ATTENTION_STEP
    ) -> None:
        super().__init__()
        head_channels = scale_channels(HEAD_CHANNELS, width, channel_step)
        hidden = scale_channels(HIDDEN_FEATURES, width, channel_step)
        self.trunk = trunk
        self.head = _conv_bn_act(trunk.channels[-1], head_channels, kernel_size=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(head_channels, hidden), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(hidden, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: `(N, in_channels, H, W)`, floating point, normalised as in training.

        Returns:
            Class logits, `(N, num_classes)`.
        """
        features = self.pool(self.head(self.trunk(x)[-1])).flatten(1)
        logits: Tensor = self.classifier(features)
        return logits


class Head(nn.Module):
    """Class logits and box regressions of one scale: a block, then one 1x1 convolution for each."""

    def __init__(self, channels: int, num_classes: int, anchors: int, block: BlockFactory) -> None:
        super().__init__()
        self.block = block(channels, channels, 1)
        self.logits = nn.Conv2d(channels, anchors * num_classes, 1)
        self.boxes = nn.Conv2d(channels, anchors * 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the maps of one scale.

        Args:
            x: `(N, channels, H, W)`, floating point.

        Returns:
            Class logits `(N, anchors * num_classes, H, W)` and box regressions `(N, anchors * 4, H, W)`.
        """
        x = self.block(x)
        return self.logits(x), self.boxes(x)


class Detector(nn.Module):
    """The trunk with a head at each of its last three stages; see `detector`."""

    def __init__(self, trunk: Trunk, num_classes: int, anchors: int, block: BlockFactory) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(Head(channels, num_classes, anchors, block) for channels in trunk.channels[1:])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the raw maps of all scales.

        Args:
            x: Images, `(N, in_channels, H, W)`, floating point.

        Returns:
            Six tensors, from the finest scale to the coarsest, at each the class logits
            `(N, anchors * num_classes, H_i, W_i)` before the box regressions `(N, anchors * 4, H_i, W_i)`.
        """
        outputs: list[Tensor] = []
        for head, features in zip(self.heads, self.trunk(x)[1:], strict=True):
            outputs.extend(head(features))
        return tuple(outputs)


def classifier(
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    stem_stride: int = 2,
    downsamplings: int = 4,
    dropout: float = 0.2,
    block: str | BlockFactory = "dwca",
    channel_step: int = _ATTENTION_STEP,
) -> Classifier:
    """Build a classifier of the size of MobileNetV3-small (Howard et al., "Searching for MobileNetV3", ICCV 2019).

    With the defaults it takes `(N, 3, 224, 224)` at a total stride of 32 and returns logits `(N, num_classes)`; any
    other size works too. For 28x28 images use `stem_stride=1, downsamplings=3`.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.
        width: Factor on all channel counts.
        stem_stride: Stride of the first convolution, 1 or 2.
        downsamplings: How many of the four stages, counted from the last, halve the image: 0 to 4.
        dropout: Probability of the dropout before the last layer, in training.
        block: "dwca", "baseline", or what builds one block from its input channels, output channels and stride.
        channel_step: As in `scale_channels`; another than 8 is for blocks without attention.

    Returns:
        The network, randomly initialised, in training mode.

    Raises:
        UsageError: An argument is out of its range.
    """
    _require(num_classes >= 1, "num_classes", num_classes, "at least 1")
    _require(0 <= dropout < 1, "dropout", dropout, "at least 0 and below 1")
    trunk = Trunk(in_channels, width, stem_stride, downsamplings, _factory(block), channel_step)
    return Classifier(trunk, num_classes, width, dropout, channel_step)


def detector(
    num_classes: int = 20,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    anchors: int = 3,
    stem_stride: int = 2,
    block: str | BlockFactory = "dwca",
    channel_step: int = _ATTENTION_STEP,
) -> Detector:
    """Build a single-shot detector with heads at strides 8, 16 and 32.

    For small images and small objects use `stem_stride=1`: the heads are at strides 4, 8 and 16 then.

    It returns a flat tuple of six tensors, raw maps without anchors decoded or suppressed:
    `(logits_8, boxes_8, logits_16, boxes_16, logits_32, boxes_32)`, where logits are `(N, anchors * num_classes, H, W)`
    and boxes `(N, anchors * 4, H, W)`, with H and W of the image divided by the stride and rounded up.

    Args:
        num_classes: Classes per anchor.
        in_channels: Channels of the image.
        width: Factor on all channel counts.
        anchors: Anchor boxes per place.
        stem_stride: Stride of the first convolution, 1 or 2.
        block: As in `classifier`, for trunk and heads.
        channel_step: As in `classifier`.

    Returns:
        The network, randomly initialised, in training mode.

    Raises:
        UsageError: An argument is out of its range.
    """
    _require(num_classes >= 1, "num_classes", num_classes, "at least 1")
    _require(anchors >= 1, "anchors", anchors, "at least 1")
    make = _factory(block)
    trunk = Trunk(in_channels, width, stem_stride, len(STAGES), make, channel_step)
    return Detector(trunk, num_classes, anchors, make)


def scale_channels(channels: int, width: float, step: int = _ATTENTION_STEP) -> int:
    """Scale a channel count, by default so that the attention's reduced channels stay divisible into four groups.

    The result is then a multiple of 8 up to 128 and a multiple of 64 beyond. Networks without attention can be sized
    more finely: of any other `step`, the result is a multiple.

    Args:
        channels: Channels at width 1.
        width: Factor.
        step: Distance between the counts that can come out.

    Returns:
        The scaled count, at least `step`.
    """
    scaled = max(step, round(channels * width / step) * step)
    if step != _ATTENTION_STEP:
        return scaled
    return scaled if scaled <= _WIDEST_AT_8 else round(channels * width / 64) * 64


def _factory(block: str | BlockFactory) -> BlockFactory:
    if not isinstance(block, str):
        return block
    _require(block in BLOCKS, "block", block, " or ".join(BLOCKS))
    return BLOCKS[block]


def _stage(c1: int, c2: int, blocks: int, stride: int, block: BlockFactory) -> nn.Sequential:
    return nn.Sequential(block(c1, c2, stride), *(block(c2, c2, 1) for _ in range(blocks - 1)))


def _conv_bn_act(c1: int, c2: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c1, c2, kernel_size, stride, kernel_size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c2), nn.Hardswish())


def _check(in_channels: int, width: float, stem_stride: int, downsamplings: int, channel_step: int) -> None:
    _require(in_channels >= 1, "in_channels", in_channels, "at least 1")
    _require(width > 0, "width", width, "above 0")
    _require(stem_stride in (1, 2), "stem_stride", stem_stride, "1 or 2")
    _require(0 <= downsamplings <= len(STAGES), "downsamplings", downsamplings, f"0 to {len(STAGES)}")
    _require(channel_step >= 1, "channel_step", channel_step, "at least 1")


def _require(holds: bool, name: str, value: object, valid: str) -> None:
    if not holds:
        raise UsageError(f"{name}={value!r} cannot be", where="models/nets.py", hint=f"{name} is {valid}")
