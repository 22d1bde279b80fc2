"""A depthwise convolution that is ready to run on one kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwca_export.errors import InputRefusedError
from dwca_export.kernels.layouts import DTYPES, ELEMPACKS, empty, packed_shape
from dwca_export.kernels.native import UnavailableError, native, require_isa

if TYPE_CHECKING:
    from dwca_export.kernels.layer import Layer

_ARITHMETICS = ("fp32", "fp16")


class Plan:
    """Made by `plan`. One run at a time: threads that share it wait for each other.

    Attributes:
        layer: What it computes.
        algorithm: The kernel's name.
        isa: Its instruction set.
        elempack: Of input and output.
        storage: Of input and output.
        arithmetic: Of products and sums.
        threads: That it runs on.
    """

    def __init__(
        self,
        layer: Layer,
        weight: np.ndarray,
        bias: np.ndarray | None,
        *,
        algorithm: str,
        isa: str,
        elempack: int,
        storage: str,
        arithmetic: str,
        threads: int,
    ) -> None:
        self.layer = layer
        self.algorithm = algorithm
        self.isa = isa
        self.elempack = elempack
        self.storage = storage
        self.arithmetic = arithmetic
        self.threads = threads
        self._native = native().Plan(
            isa=isa,
            algorithm=algorithm,
            shape=[layer.channels, layer.height, layer.width],
            padding=list(layer.padding),
            kernel=layer.kernel,
            stride=layer.stride,
            dilation=layer.dilation,
            activation=layer.activation,
            elempack=elempack,
            storage=storage,
            arithmetic=arithmetic,
            weights=weight,
            bias=bias,
            threads=threads,
        )

    @property
    def lanes(self) -> int:
        """Channels that the kernel computes at once."""
        return int(self._native.lanes)

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Of the input in memory."""
        return packed_shape(self.layer.channels, self.layer.height, self.layer.width, self.elempack)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Of the output in memory."""
        return packed_shape(self.layer.channels, self.layer.out_height, self.layer.out_width, self.elempack)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Compute the layer.

        Args:
            x: As `pack` lays it out.

        Raises:
            InputRefusedError: It is of another shape or dtype, or not contiguous.
        """
        y = self.empty_output()
        self.run(x, y)
        return y

    def empty_output(self) -> np.ndarray:
        """An array for `run` to write to."""
        return empty(self.out_shape, self.storage)

    def run(self, x: np.ndarray, y: np.ndarray) -> None:
        """Compute the layer into `y`; raises as calling does."""
        self._check(x, y)
        self._native.run(x, y)

    def time(self, x: np.ndarray, y: np.ndarray, calls: int) -> float:
        """Seconds that so many runs take, one after the other in native code; raises as calling does."""
        if not 1 <= calls < 1 << 31:
            raise InputRefusedError(f"calls are {calls}", where="Plan.time", hint="1 at least")
        self._check(x, y)
        return float(self._native.time(x, y, calls))

    def _check(self, x: np.ndarray, y: np.ndarray) -> None:
        for name, array, shape in (("input", x, self.in_shape), ("output", y, self.out_shape)):
            fits = array.shape == shape and array.dtype == DTYPES[self.storage] and array.flags.c_contiguous
            if not fits:
                raise InputRefusedError(
                    f"the {name} is {array.dtype} {array.shape}, not contiguous {DTYPES[self.storage]} {shape}",
                    where=str(self.layer),
                    hint="kernels.pack lays a tensor out",
                )
        if not y.flags.writeable or np.may_share_memory(x, y):
            raise InputRefusedError(
                "the output cannot be written to, or shares memory with the input", where=str(self.layer)
            )


def plan(
    layer: Layer,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    algorithm: str = "direct",
    isa: str | None = None,
    elempack: int | None = None,
    storage: str = "fp32",
    arithmetic: str = "fp32",
    threads: int = 1,
) -> Plan:
    """Prepare a kernel.

    Args:
        layer: What to compute.
        weight: float32, `(C, K, K)`.
        bias: float32, `(C,)`, if the layer has one.
        algorithm: Of `algorithms(layer)`.
        isa: Of `isas()`; the best by default.
        elempack: Of input and output; by default the largest that the channels and the instruction set allow.
        storage: Of input and output: `fp32`, `fp16`, `bf16`.
        arithmetic: `fp32`, or `fp16` with storage fp16 on ARM.
        threads: At most 256.

    Raises:
        UnavailableError: There is no such kernel here.
        InputRefusedError: Arguments that do not fit the layer or each other.
    """
    isa = require_isa(isa)
    if storage not in DTYPES or arithmetic not in _ARITHMETICS:
        raise InputRefusedError(
            f"storage {storage!r} with arithmetic {arithmetic!r}",
            where="precision",
            hint=f"storage is {', '.join(DTYPES)}; arithmetic {', '.join(_ARITHMETICS)}",
        )
    rows = [row for row in native().kernels(isa) if row[4] == arithmetic]
    if not rows or (arithmetic == "fp16" and storage != "fp16"):
        raise UnavailableError(
            f"{arithmetic} arithmetic on {storage} storage is not available here",
            where=isa,
            hint="fp16 arithmetic needs fp16 storage and an ARMv8.2 CPU",
        )
    fitting = [size for size in ELEMPACKS if layer.channels % size == 0]
    if elempack is None:
        most = max(row[3] for row in rows)
        elempack = max(size for size in fitting if size <= most)
    if elempack not in fitting:
        raise InputRefusedError(
            f"elempack is {elempack}", where=str(layer), hint=f"{layer.channels} channels can be packed by {fitting}"
        )
    if algorithm not in _computing(layer, rows):
        raise UnavailableError(
            f"{algorithm!r} does not compute this layer in {arithmetic} arithmetic",
            where=str(layer),
            hint=f"there are {', '.join(_computing(layer, rows))}",
        )
    if not 1 <= threads <= 256:  # noqa: PLR2004
        raise InputRefusedError(f"threads are {threads}", where=str(layer), hint="1 to 256")
    if layer.bias != (bias is not None):
        raise InputRefusedError(
            f"the layer has {'a' if layer.bias else 'no'} bias, and {'none' if bias is None else 'one'} is given",
            where=str(layer),
            hint="Layer(bias=...) says whether there is one",
        )
    return Plan(
        layer,
        _checked(weight, (layer.channels, layer.kernel, layer.kernel), "weight"),
        _checked(bias, (layer.channels,), "bias") if bias is not None else None,
        algorithm=algorithm,
        isa=isa,
        elempack=elempack,
        storage=storage,
        arithmetic=arithmetic,
        threads=threads,
    )


def algorithms(layer: Layer, isa: str | None = None, arithmetic: str = "fp32") -> tuple[str, ...]:
    """The algorithms that can compute a layer here: `direct` first if it can, `generic` last.

    Raises:
        UnavailableError: No native library, or no such instruction set here.
    """
    rows = native().kernels(require_isa(isa))
    return _computing(layer, [row for row in rows if row[4] == arithmetic])


def _computing(layer: Layer, rows: list[tuple[str, int, int, int, str]]) -> tuple[str, ...]:
    own = (layer.kernel, layer.stride)
    fitting = [row[0] for row in rows if row[1] == 0 or (row[1:3] == own and layer.dilation == 1)]
    return tuple(dict.fromkeys(fitting))


def _checked(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    if array.shape != shape:
        raise InputRefusedError(f"the {name} has shape {array.shape}, not {shape}", where="kernels.plan")
    if array.dtype.kind not in "fiu":
        raise InputRefusedError(f"the {name} has dtype {array.dtype}, no real numbers", where="kernels.plan")
    return np.ascontiguousarray(array, np.float32)
