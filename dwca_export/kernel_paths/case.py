"""What decides which kernel a layer takes: its parameters, its inputs as they arrive, and the machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from dwca_export.kernel_paths.machine import Options, Target
    from dwca_export.ncnn.param import Layer

Storage: TypeAlias = Literal["fp32", "fp16", "bf16"]

CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
QUANTISED = (*CONVOLUTIONS, "InnerProduct")

_INT8_PACK = 8
_FP16_PACK = 8


@dataclass(frozen=True)
class Blob:
    """A blob as a layer leaves or takes it.

    Attributes:
        shape: C order, without batch axis; ncnn packs along the first axis.
        elempack: How many elements of the first axis lie together, None where it is not known.
        storage: How one element is kept, None where it is not known.
    """

    shape: tuple[int, ...]
    elempack: int | None = 1
    storage: Storage | None = "fp32"


@dataclass(frozen=True)
class Case:
    """One layer on one target in one mode.

    Attributes:
        layer: The layer.
        inputs: What it reads, converted as ncnn converts it for this layer.
        shapes: Of what it writes.
        target: The machine.
        options: The mode's options, less what the layer's mask takes away.
    """

    layer: Layer
    inputs: tuple[Blob, ...]
    shapes: tuple[tuple[int, ...], ...]
    target: Target
    options: Options

    @property
    def first(self) -> Blob:
        """The first input."""
        return self.inputs[0]

    @property
    def pack(self) -> int | None:
        """Elempack of the first input."""
        return self.first.elempack

    @property
    def half(self) -> bool:
        """Whether the kernel computes in half precision: ARM with fp16 in store and arithmetic."""
        return self.first.storage == "fp16" and self.options.fp16_arithmetic

    @property
    def int8(self) -> bool:
        """Whether the layer computes in 8 bits: the mode asks for it, and the layer is quantised, or could be."""
        return self.options.int8 and self.layer.type in QUANTISED

    def out_pack(self, n: int) -> int:
        """The elempack that layers choose for `n` channels of what they write."""
        if self.first.storage == "fp16" and self.half and n % _FP16_PACK == 0:
            return _FP16_PACK
        return next((pack for pack in self.target.packs if n % pack == 0), 1)

    @property
    def widest(self) -> int:
        """The widest elempack of this target in this layer's precision."""
        return _INT8_PACK if self.int8 else _FP16_PACK if self.half else self.target.packs[0]

    @cached_property
    def kernel(self) -> tuple[int, int]:
        """Kernel height and width of a convolution or pooling."""
        width = self.layer.int(1, 0)
        return self.layer.int(11, width), width

    @cached_property
    def stride(self) -> tuple[int, int]:
        """Vertical and horizontal stride of a convolution or pooling."""
        first, second = (2, 12) if self.layer.type == "Pooling" else (3, 13)
        width = self.layer.int(first, 1)
        return self.layer.int(second, width), width

    @cached_property
    def dilation(self) -> tuple[int, int]:
        """Vertical and horizontal dilation of a convolution."""
        width = self.layer.int(2, 1)
        return self.layer.int(12, width), width

    @property
    def is_square(self) -> bool:
        """Whether kernel and stride are the same along both axes and nothing is dilated."""
        return len(set(self.kernel)) == 1 and len(set(self.stride)) == 1 and self.dilation == (1, 1)

    @cached_property
    def n_out(self) -> int:
        """Channels that a convolution or inner product writes."""
        return self.layer.int(0, 0)

    @cached_property
    def group(self) -> int:
        """Groups of a ConvolutionDepthWise."""
        return self.layer.int(7, 1)

    @cached_property
    def n_in(self) -> int:
        """Channels that a convolution reads."""
        return self.first.shape[0]

    @cached_property
    def n_products(self) -> int:
        """The number that dense convolutions compare with the L2 cache, before the bytes of an element."""
        return self.n_in * self.n_out * prod((*self.kernel, *self.dilation, *self.stride))

    @property
    def words(self) -> dict[str, int | str | None]:
        """What names of kernels are made of."""
        is_convolution = self.layer.type in CONVOLUTIONS
        has_window = is_convolution or self.layer.type == "Pooling"
        suffix = {"bf16": "_bf16s", "fp16": "_fp16sa" if self.half else "_fp16s"}
        return {
            "k": self.kernel[1] if has_window else None,
            "s": self.stride[1] if has_window else None,
            "p": self.pack,
            "q": self.out_pack(self.n_out) if is_convolution else None,
            "simd": "neon" if self.target.family == "arm" else {16: "avx512", 8: "avx"}.get(self.pack or 0, "sse"),
            "type": self.layer.type,
            "family": self.target.family,
            "store": f", {self.first.storage}" if self.first.storage in {"fp16", "bf16"} else "",
            "suffix": suffix.get(self.first.storage or "", ""),
        }
