"""What a depthwise convolution is, apart from how it is computed."""

from __future__ import annotations

from dataclasses import dataclass

from dwca_export.errors import InputRefusedError

ACTIVATIONS = ("none", "relu", "relu6", "hardswish")
BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
"""Of a number as it is stored."""

MOST_NUMBERS = 1 << 28
"""Of an input with its padding, or an output: 1 GiB in fp32."""

_MOST = 1 << 20
_MOST_TAPS = 1 << 10
_SAME = (-1, -1, -1, -1)


@dataclass(frozen=True)
class Layer:
    """A depthwise convolution: one square kernel for each channel.

    Attributes:
        channels: Of input and output.
        height: Of the input, in pixels.
        width: The same.
        kernel: Its height and width.
        stride: In both directions.
        padding: Rows and columns of zeros around the input: top, bottom, left, right. By default (-1 each) what keeps
            the size at stride 1.
        dilation: Input pixels from one tap of the kernel to the next.
        bias: Whether a number is added to each channel.
        activation: What is applied last, of `ACTIVATIONS`.

    Raises:
        InputRefusedError: There can be no such layer, or its tensors, padded, are larger than `MOST_NUMBERS`.
    """

    channels: int
    height: int
    width: int
    kernel: int = 5
    stride: int = 1
    padding: tuple[int, int, int, int] = _SAME
    dilation: int = 1
    bias: bool = False
    activation: str = "none"

    def __post_init__(self) -> None:
        for name in ("channels", "height", "width", "kernel", "stride", "dilation"):
            value = getattr(self, name)
            most = _MOST_TAPS if name in ("kernel", "dilation") else _MOST
            self._require(1 <= value <= most, f"{name} is {value}", f"{name} is 1 to {most}")
        if self.padding == _SAME:
            object.__setattr__(self, "padding", self._same)
        known = ", ".join(ACTIVATIONS)
        self._require(self.activation in ACTIVATIONS, f"activation is {self.activation!r}", f"there are {known}")
        fits = len(self.padding) == 4 and all(0 <= pad <= _MOST for pad in self.padding)  # noqa: PLR2004
        self._require(fits, f"padding is {self.padding}", f"four numbers, 0 to {_MOST}")
        self._require(
            self.out_height >= 1 and self.out_width >= 1,
            f"the kernel spans {self.extent} pixels, more than the padded input has",
            "take a larger input, more padding or a smaller kernel",
        )
        top, bottom, left, right = self.padding
        padded = (self.height + top + bottom) * (self.width + left + right)
        largest = self.channels * max(padded, self.out_height * self.out_width)
        self._require(largest <= MOST_NUMBERS, f"a tensor has {largest} numbers", f"the most is {MOST_NUMBERS}")

    def _require(self, holds: bool, what: str, hint: str) -> None:
        if not holds:
            where = f"depthwise layer {self.channels}x{self.height}x{self.width} k{self.kernel} s{self.stride}"
            raise InputRefusedError(what, where=where, hint=hint)

    def __str__(self) -> str:
        text = f"{self.channels}x{self.height}x{self.width} k{self.kernel} s{self.stride}"
        if self.dilation != 1:
            text += f" d{self.dilation}"
        if self.padding != self._same:
            text += " p" + ",".join(map(str, self.padding))
        return text

    @property
    def _same(self) -> tuple[int, int, int, int]:
        side = self.kernel // 2 * self.dilation
        return (side, side, side, side)

    @property
    def extent(self) -> int:
        """Pixels from the kernel's first tap to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return (self.height + self.padding[0] + self.padding[1] - self.extent) // self.stride + 1

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return (self.width + self.padding[2] + self.padding[3] - self.extent) // self.stride + 1

    @property
    def multiply_adds(self) -> int:
        """Of the direct algorithm, the taps in the padding among them."""
        return self.channels * self.out_height * self.out_width * self.kernel**2

    def input_bytes(self, storage: str = "fp32") -> int:
        """Bytes of the input as it is stored."""
        return self.channels * self.height * self.width * BYTES[storage]

    def output_bytes(self, storage: str = "fp32") -> int:
        """Bytes of the output as it is stored."""
        return self.channels * self.out_height * self.out_width * BYTES[storage]
