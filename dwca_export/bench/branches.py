"""Times a piece of an ncnn network without the packing, the copies and the Python calls around it.

Copies of the piece lie side by side in one network ::

    Input -> Split -+-> piece -> Crop to 1x1 -+-> Concat
                    +-> piece -> Crop to 1x1 -+
                    ...

and the time of one is the slope over their number: what happens once (input, packing, extraction, Python) falls out of
the difference between a long and a short network. What each branch has besides the piece, its Crop, is measured by the
same networks without the piece, and subtracted.

A chain of copies, one behind the other, gives the same slope (`chained` builds it, the tests hold both to each other),
but a stride makes a chain shrink, and so does a padding that is not "same". Side by side works for all of them; the
input stays in the cache as it is, as it does for a native loop over one call.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ncnn
import numpy as np

from dwca_export.errors import ConversionError, DwcaExportError, UsageError
from dwca_export.ncnn.param import Layer, Param
from dwca_export.ncnn.weights import Weight, write_weights
from dwca_export.runners.ncnn import MODES, set_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

INPUT, OUTPUT = "in0", "out0"

SHORT = 2
"""Copies in the short network."""

FEWEST, MOST = 4, 96
"""Bounds of the copies that the long network has more."""

LONG_SECONDS = 1.5e-3
"""What the additional copies should take together: the noise of a call weighs little, interruptions are few."""

_TRIES = 8
_RESPITE_SECONDS = 1e-4

_WINOGRAD = (
    "use_winograd_convolution",
    "use_winograd23_convolution",
    "use_winograd43_convolution",
    "use_winograd63_convolution",
)


@dataclass(frozen=True)
class Setting:
    """The options of ncnn that a measurement sets.

    Attributes:
        threads: Threads that ncnn may use.
        mode: Precision, one of `runners.ncnn.MODES`.
        packing: Whether channels may be packed.
        winograd: Whether Winograd may be used.
    """

    threads: int = 1
    mode: str = "fp32"
    packing: bool = True
    winograd: bool = True

    def apply(self, option: Any) -> None:
        """Set an `ncnn.Option`.

        Raises:
            UsageError: There is no such mode.
        """
        if self.mode not in MODES:
            raise UsageError(f"no precision mode {self.mode!r}", where="ncnn", hint=f"there are {', '.join(MODES)}")
        set_mode(option, self.mode)
        option.num_threads = self.threads
        option.use_packing_layout = self.packing
        for name in _WINOGRAD:
            setattr(option, name, self.winograd)


@dataclass(frozen=True)
class Piece:
    """Layers that read the blob `in0` and write the blob `out0`, with their weights.

    Attributes:
        layers: In the order of execution, without an `Input`.
        weights: In the order of the layers.
        channels: Channels of `out0`.
    """

    layers: tuple[Layer, ...]
    weights: tuple[Weight, ...]
    channels: int

    def copied(self, copy: int, bottom: str, top: str) -> Piece:
        """The same between other blobs, under names of its own."""
        ends = {INPUT: bottom, OUTPUT: top}

        def named(blob: str) -> str:
            return ends.get(blob, f"{blob}_{copy}")

        layers = (
            replace(
                layer,
                name=f"{layer.name}_{copy}",
                bottoms=tuple(map(named, layer.bottoms)),
                tops=tuple(map(named, layer.tops)),
            )
            for layer in self.layers
        )
        weights = (replace(weight, layer=f"{weight.layer}_{copy}") for weight in self.weights)
        return Piece(tuple(layers), tuple(weights), self.channels)


def alone(piece: Piece) -> Piece:
    """A whole network: the piece behind an `Input`."""
    return replace(piece, layers=(Layer("Input", INPUT, (), (INPUT,)), *piece.layers))


def side_by_side(piece: Piece, copies: int) -> Piece:
    """A whole network of copies of a piece that all read one input.

    Args:
        piece: What to copy; one without layers stands for the branches themselves, each being its Crop alone.
        copies: At least one.
    """
    layers = [
        Layer("Input", INPUT, (), (INPUT,)),
        Layer("Split", "split", (INPUT,), tuple(f"branch_{copy}" for copy in range(copies))),
    ]
    weights: list[Weight] = []
    for copy in range(copies):
        one = piece.copied(copy, f"branch_{copy}", f"whole_{copy}")
        layers += [*one.layers, _pixel(one, f"whole_{copy}" if one.layers else f"branch_{copy}", f"pixel_{copy}")]
        weights += one.weights
    pixels = tuple(f"pixel_{copy}" for copy in range(copies))
    layers.append(Layer("Concat", "concat", pixels, (OUTPUT,)).with_params({0: 0}))
    return Piece(tuple(layers), tuple(weights), piece.channels * copies)


def chained(piece: Piece, copies: int) -> Piece:
    """A whole network of copies of a piece, one behind the other; the piece has to keep the shape."""
    layers = [Layer("Input", INPUT, (), (INPUT,))]
    weights: list[Weight] = []
    blobs = [INPUT, *(f"link_{copy}" for copy in range(copies))]
    for copy in range(copies):
        one = piece.copied(copy, *blobs[copy : copy + 2])
        layers += one.layers
        weights += one.weights
    layers.append(_pixel(piece, blobs[-1], OUTPUT))
    return Piece(tuple(layers), tuple(weights), piece.channels)


def _pixel(piece: Piece, bottom: str, top: str) -> Layer:
    """All channels of the first pixel, so that what follows a piece costs next to nothing."""
    crop = Layer("Crop", f"crop_{top}", (bottom,), (top,))
    return crop.with_params({0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: piece.channels})


class OpenNet:
    """A network in ncnn with the input it runs on.

    Args:
        network: The layers, from `Input` to the blob `out0`, and their weights.
        array: float32, `(C, H, W)`.
        setting: ncnn's options.

    Raises:
        ConversionError: ncnn does not load it.
    """

    def __init__(self, network: Piece, array: np.ndarray, setting: Setting) -> None:
        param = Param(network.layers)
        param.check()
        self._net = ncnn.Net()
        setting.apply(self._net.opt)
        # ncnn maps the file of weights: it has to stay for as long as the network.
        self._folder = tempfile.TemporaryDirectory(prefix="dwca-bench-")
        paths = [Path(self._folder.name, name) for name in ("net.param", "net.bin")]
        paths[0].write_text(param.text(), encoding="utf-8")
        paths[1].write_bytes(write_weights(network.weights))
        if self._net.load_param(str(paths[0])) or self._net.load_model(str(paths[1])):
            raise ConversionError("ncnn does not load the network", where="ncnn")
        # The Mat shares the array's memory; ncnn's in-place layers want memory of its own.
        self._array = np.ascontiguousarray(array, np.float32)
        self._input = ncnn.Mat(self._array).clone()

    def close(self) -> None:
        """Free the network and its files."""
        self._net.clear()
        self._folder.cleanup()

    def infer(self) -> np.ndarray:
        """What `out0` holds: float32, `(C, H, W)`.

        Raises:
            ConversionError: ncnn fails.
        """
        return np.array(self._extract(0))

    def seconds(self) -> float:
        """How long one pass takes."""
        respite()
        start = time.perf_counter()
        self._extract(1)  # as it is: packed
        return time.perf_counter() - start

    def _extract(self, kind: int) -> Any:
        with self._net.create_extractor() as extractor:
            extractor.input(INPUT, self._input)
            status, mat = extractor.extract(OUTPUT, kind)
        if status or mat.empty():
            raise ConversionError(f"ncnn fails to compute (status {status})", where="ncnn")
        return mat


class Slope:
    """Times one piece as the slope over the number of its copies.

    Args:
        piece: What to time.
        array: Input of each copy, float32, `(C, H, W)`.
        setting: ncnn's options.
        more: How many copies the long network has more than the short one; None to find out how many take
            `LONG_SECONDS`.

    Raises:
        ConversionError: ncnn does not load or run it.
    """

    def __init__(self, piece: Piece, array: np.ndarray, setting: Setting, *, more: int | None = None) -> None:
        self._nets: list[OpenNet] = []
        self.more = more or FEWEST
        self._open(piece, array, setting)
        if more is None:
            self.more = enough(self.seconds)
            if self.more > FEWEST:
                self.close()
                self._open(piece, array, setting)

    def __enter__(self) -> Slope:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks."""
        while self._nets:
            self._nets.pop().close()

    def seconds(self) -> float:
        """Measure once.

        Returns:
            Seconds of one copy, positive.

        Raises:
            ConversionError: The piece is lost in the noise of the machine.
        """
        for _ in range(_TRIES):
            short, long, short_bare, long_bare = (net.seconds() for net in self._nets)
            seconds = slope((short, long), (short_bare, long_bare), self.more)
            if seconds > 0:
                return seconds
        raise ConversionError(
            "takes no longer with more copies of the layer than with fewer",
            where="ncnn",
            hint="the layer is too small to be timed, or the machine is too busy: end other processes",
        )

    def _open(self, piece: Piece, array: np.ndarray, setting: Setting) -> None:
        bare = Piece((), (), len(array))
        for network in _pairs((piece, bare), (SHORT, SHORT + self.more)):
            self._nets.append(OpenNet(network, array, setting))
        for net in self._nets:
            net.infer()  # allocates what later passes use again


def slope(whole: tuple[float, float], bare: tuple[float, float], more: int) -> float:
    """What one copy takes, by itself.

    Args:
        whole: Seconds of a short and of a long network.
        bare: The same without the piece in their branches.
        more: How many branches the long ones have more.
    """
    return ((whole[1] - whole[0]) - (bare[1] - bare[0])) / more


def respite() -> None:
    """Give up the processor for a moment, so that what follows has a time slice of its own.

    Where other programs compute too, the scheduler would else stop a measurement in the midst of it: the longer it is
    the more often, so that short and long ones could not be compared.
    """
    time.sleep(_RESPITE_SECONDS)


def enough(seconds: Callable[[], float]) -> int:
    """How many copies more take about `LONG_SECONDS`.

    Args:
        seconds: Measures one copy; a `DwcaExportError` from it means that it is too short to be seen.
    """
    try:
        return min(MOST, max(FEWEST, ceil(LONG_SECONDS / min(seconds() for _ in range(3)))))
    except DwcaExportError:
        return MOST


def _pairs(pieces: Sequence[Piece], numbers: Sequence[int]) -> Iterator[Piece]:
    return (side_by_side(piece, copies) for piece in pieces for copies in numbers)
