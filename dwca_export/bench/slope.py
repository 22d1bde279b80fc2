"""Times a piece of an ncnn network without the packing, the copies and the Python calls around it.

The time of one copy of the piece is the slope over the number of copies in a network: what happens once (input,
packing, extraction, Python) falls out of the difference between a long and a short network. Copies lie in a chain, one
behind the other, where the piece keeps the shape. Where it does not (a stride makes a chain shrink, and so does a
padding that is not "same"), they lie side by side ::

    Input -> Split -+-> piece -> Crop to 1x1 -+-> Concat
                    +-> piece -> Crop to 1x1 -+
                    ...

and what each branch has besides the piece, its Crop, is measured by the same networks without the piece, and
subtracted. On a quiet machine both ways agree within 3 %, and within a microsecond for the smallest layers; the chain
is the faster one: its copies find their input in the cache as the one before left it, and the code of one layer alone.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import ncnn
import numpy as np

from dwca_export.bench.copies import INPUT, OUTPUT, Piece, chained, side_by_side
from dwca_export.errors import ConversionError, DwcaExportError, UsageError
from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import write_weights
from dwca_export.runners.ncnn import MODES, set_mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SHORT = 1
"""Copies in the short network."""

FEWEST, MOST = 2, 32
"""Bounds of the copies that the long network has more."""

LONG_SECONDS = 1e-3
"""What the additional copies should take together: the noise of a call weighs little, interruptions are few."""

_TRIES = 8
_ESTIMATES = 5
_RESPITE_SECONDS = 1e-4
_AS_FLOATS = 0
_AS_IT_IS = 1  # ncnn's `extract` then neither unpacks nor casts

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
        return np.array(self._extract(_AS_FLOATS))

    def seconds(self) -> float:
        """How long one pass takes, after one that brings weights and buffers back into the cache."""
        self._extract(_AS_IT_IS)
        respite()
        start = time.perf_counter()
        self._extract(_AS_IT_IS)
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
        in_chain: Whether copies lie in a chain; the piece has to keep the shape, and should neither blow numbers up
            nor let them vanish, because denormal numbers take longer.
        more: How many copies the long network has more than the short one; None to find out how many take
            `LONG_SECONDS`.

    Raises:
        ConversionError: ncnn does not load or run it.
    """

    def __init__(
        self, piece: Piece, array: np.ndarray, setting: Setting, *, in_chain: bool = False, more: int | None = None
    ) -> None:
        self.in_chain = in_chain
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
            short, long, *bare = (net.seconds() for net in self._nets)
            seconds = slope((short, long), (bare[0], bare[1]) if bare else (0.0, 0.0), self.more)
            if seconds > 0:
                return seconds
        raise ConversionError(
            "takes no longer with more copies of the layer than with fewer",
            where="ncnn",
            hint="the layer is too small to be timed, or the machine is too busy: end other processes",
        )

    def _open(self, piece: Piece, array: np.ndarray, setting: Setting) -> None:
        lengths = (SHORT, SHORT + self.more)
        if self.in_chain:
            networks = [chained(piece, copies) for copies in lengths]
        else:
            bare = Piece((), (), len(array))
            networks = [side_by_side(one, copies) for one in (piece, bare) for copies in lengths]
        for network in networks:
            self._nets.append(OpenNet(network, array, setting))
        for net in self._nets:
            net.infer()  # allocates what later passes use again


def slope(whole: tuple[float, float], bare: tuple[float, float], more: int) -> float:
    """What one copy takes, by itself.

    Args:
        whole: Seconds of a short and of a long network.
        bare: The same without the piece in their branches; 0 for a chain.
        more: How many copies the long ones have more.
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
        return min(MOST, max(FEWEST, ceil(LONG_SECONDS / median(seconds() for _ in range(_ESTIMATES)))))
    except DwcaExportError:
        return MOST
