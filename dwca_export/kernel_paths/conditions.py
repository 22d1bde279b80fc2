"""What a rule asks of a layer: each condition is a text for the documentation and a test.

A test answers None where the parameters do not tell, because it hangs on the machine's caches for instance; a rule with
such a condition ends the search, and the kernel is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwca_export.kernel_paths.case import Case

# Between these sizes of the second-level cache lie the CPUs that ncnn runs on, in bytes.
_SMALLEST_L2 = 128 << 10
_LARGEST_L2 = 16 << 20

_MANY_CHANNELS = 16


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        text: For the table of facts.
        holds: Whether it holds; None: not known.
    """

    text: str
    holds: Callable[[Case], bool | None]

    def __invert__(self) -> Condition:
        """The opposite; what is not known stays so."""

        def opposite(case: Case) -> bool | None:
            answer = self.holds(case)
            return None if answer is None else not answer

        return Condition(f"not {self.text}", opposite)


INT8 = Condition("int8", lambda case: case.int8)
HALF = Condition("fp16 arithmetic", lambda case: case.half)
FP16 = Condition("fp16 storage alone", lambda case: case.first.storage == "fp16" and not case.half)
BF16 = Condition("bf16 storage", lambda case: case.first.storage == "bf16")
FP32 = Condition("fp32 blobs", lambda case: case.first.storage == "fp32")
BF16_ON = Condition("bf16 storage switched on", lambda case: case.options.bf16_storage)
# With fp16 storage, inner products keep their weights in fp16 although the blobs stay in 32 bits.
FP16_WEIGHTS = Condition("fp16 weights", lambda case: case.options.fp16_storage and case.first.storage == "fp32")

SGEMM = Condition("no mask 32", lambda case: case.options.sgemm)
WINOGRAD = Condition("no mask 64", lambda case: case.options.winograd)

DEPTHWISE = Condition("depthwise", lambda case: case.group == case.n_in == case.n_out)
ACTIVATION_FITS = Condition("no activation or ReLU", lambda case: case.layer.int(9, 0) in {0, 1})
DYNAMIC_WEIGHT = Condition("weights from a blob", lambda case: bool(case.layer.int(19, 0)))
POINTWISE = Condition("1x1", lambda case: case.kernel == (1, 1))

ADAPTIVE = Condition("adaptive", lambda case: bool(case.layer.int(7, 0)))

WITH_SCALAR = Condition("with a number", lambda case: bool(case.layer.int(1, 0)))
FLAT = Condition("a vector", lambda case: len(case.first.shape) == 1)
PACKED = Condition("packed", lambda case: case.pack != 1)
UNPACKED = Condition("unpacked", lambda case: case.pack == 1)
SHAPE_HINTS = Condition("shape hints in the param", lambda case: case.layer.has(30))


def pack(*counts: int) -> Condition:
    """Elempack of the input."""
    return Condition(f"elempack {_or(counts)}", lambda case: case.pack in counts)


def output_width(modulus: int, *rests: int) -> Condition:
    """What the output's width leaves when it is divided."""
    return Condition(f"output width % {modulus} is {_or(rests)}", lambda case: case.shapes[0][-1] % modulus in rests)


def packs(before: int, after: int) -> Condition:
    """Elempack of input and output of a convolution."""
    return Condition(
        f"elempack {before} to {after}", lambda case: case.pack == before and case.out_pack(case.n_out) == after
    )


def window(kernels: tuple[int, ...], strides: tuple[int, ...]) -> Condition:
    """A square kernel and stride of these sizes, without dilation."""

    def holds(case: Case) -> bool:
        return case.is_square and case.kernel[0] in kernels and case.stride[0] in strides

    return Condition(f"{_or(f'{k}x{k}' for k in kernels)} stride {_or(strides)}, not dilated", holds)


def channels_in(multiple: int) -> Condition:
    """Input channels that are a multiple."""
    return Condition(f"C % {multiple} == 0", lambda case: case.n_in % multiple == 0)


def outputs(multiple: int) -> Condition:
    """Outputs that are a multiple."""
    return Condition(f"outputs % {multiple} == 0", lambda case: case.n_out % multiple == 0)


def either(n_in: int, n_out: int) -> Condition:
    """Input or output channels of at least this number."""
    return Condition(f"C_in >= {n_in} or C_out >= {n_out}", lambda case: case.n_in >= n_in or case.n_out >= n_out)


def both(n: int) -> Condition:
    """Input and output channels of at least this number."""
    return Condition(f"C_in >= {n} and C_out >= {n}", lambda case: case.n_in >= n and case.n_out >= n)


def neither_above(n: int) -> Condition:
    """Input and output channels of at most this number."""
    return Condition(f"C_in <= {n} and C_out <= {n}", lambda case: case.n_in <= n and case.n_out <= n)


def fewer(n_in: int, n_out: int) -> Condition:
    """Input or output channels below this number."""
    return Condition(f"C_in < {n_in} or C_out < {n_out}", lambda case: case.n_in < n_in or case.n_out < n_out)


def worth_a_gemm(bytes_per_product: int) -> Condition:
    """What ncnn calls `prefer_sgemm`: many channels, or weights that do not fit into the second-level cache."""

    def holds(case: Case) -> bool | None:
        if case.n_in > _MANY_CHANNELS or case.n_out > _MANY_CHANNELS:
            return True
        size = case.n_products * bytes_per_product
        return True if size > _LARGEST_L2 else False if size <= _SMALLEST_L2 else None

    return Condition(f"C_in > {_MANY_CHANNELS} or C_out > {_MANY_CHANNELS} or larger than the L2 cache", holds)


def test(text: str, holds: Callable[[Case], bool | None]) -> Condition:
    """Any other condition."""
    return Condition(text, holds)


def _or(values: object) -> str:
    return " or ".join(map(str, values))  # type: ignore[call-overload]
