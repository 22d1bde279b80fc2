"""Runs an ncnn param/bin in this process. Needs numpy and ncnn only, so that it also runs on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ncnn
import numpy as np

from dwca_export.errors import ConversionError
from dwca_export.runners.base import check_feeds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from dwca_export.artifacts import TensorSpec

# Reduced precision that ncnn may use, by mode. ncnn switches fp16 on by default, on x86 too.
_OPTIONS = {
    "fp32": (),
    "fp16-storage": ("use_fp16_packed", "use_fp16_storage"),
    "fp16-arithmetic": ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"),
    "bf16-storage": ("use_bf16_storage",),
}
_ALL_OPTIONS = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_int8_inference")
MODES = tuple(_OPTIONS)


def set_mode(option: ncnn.Option, mode: str) -> None:
    """Set the precision of ncnn's arithmetic.

    Args:
        option: Of a network that is not loaded yet.
        mode: One of `MODES`.
    """
    for name in _ALL_OPTIONS:
        setattr(option, name, name in _OPTIONS[mode])


class NcnnRunner:
    """Runs an ncnn network on the CPU.

    Args:
        param: The graph file.
        bin: The weight file.
        inputs: What the network takes, in order, with batch axis; blob `in0` is the first. Only these shapes are
            let in.
        outputs: What it returns, in order; blob `out0` is the first.
        mode: One of `MODES`.
        threads: Threads that ncnn may use.
        any_size: Whether the network was made for every height and width.
        size_step: With `any_size`: by multiples of this they may differ from those in `inputs`.

    Raises:
        ConversionError: ncnn does not load the files.
    """

    def __init__(
        self,
        param: Path,
        bin: Path,  # noqa: A002  ncnn's own name for it
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        mode: str = "fp32",
        threads: int = 1,
        any_size: bool = False,
        size_step: int = 1,
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.any_size = any_size
        self.size_step = size_step
        self.where = f"ncnn {param.name}"
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        # A blob is kept after its last reader, so that every blob can be asked for after one pass.
        self._net.opt.lightmode = False
        set_mode(self._net.opt, mode)
        # ncnn opens a folder too, and is content with it for a network without weights.
        if not bin.is_file() or self._net.load_param(str(param)) != 0 or self._net.load_model(str(bin)) != 0:
            raise ConversionError(
                "ncnn does not load the network",
                where=self.where,
                hint="see what ncnn printed on standard error",
            )

        # ncnn looks names up one after the other: of a deep network that takes longer than to compute a layer.
        self._index = {blob.name: index for index, blob in enumerate(self._net.blobs())}

    def __enter__(self) -> NcnnRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._net.clear()

    def infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the network once; see `Runner.infer`."""
        blobs = self.infer_blobs(feeds, [f"out{index}" for index in range(len(self.outputs))])
        return {spec.name: blob[np.newaxis] for spec, blob in zip(self.outputs, blobs.values(), strict=True)}

    def infer_blobs(self, feeds: Mapping[str, np.ndarray], blobs: Sequence[str]) -> dict[str, np.ndarray]:
        """Run the network once and return any of its blobs.

        Args:
            feeds: One array per input, with batch axis.
            blobs: Names of the blobs to return.

        Returns:
            One float32 array per blob, without batch axis, as ncnn shapes it.

        Raises:
            ConversionError: ncnn fails, or computes nothing for a blob.
        """
        check_feeds(feeds, self.inputs, self.where, any_size=self.any_size, size_step=self.size_step)
        return self.infer_between({f"in{index}": feeds[spec.name][0] for index, spec in enumerate(self.inputs)}, blobs)

    def infer_between(self, given: Mapping[str, np.ndarray], blobs: Sequence[str]) -> dict[str, np.ndarray]:
        """Run only the layers that lie between some blobs and others.

        Args:
            given: What the blobs that are not to be computed hold: float32, without batch axis, as ncnn shapes them.
            blobs: Names of the blobs to return.

        Returns:
            As `infer_blobs`.

        Raises:
            ConversionError: ncnn fails, or the blobs do not depend on `given` alone.
        """
        with self._net.create_extractor() as extractor:
            for blob, array in given.items():
                self._give(extractor, blob, array)
            return {blob: self._take(extractor, blob) for blob in blobs}

    def infer_each(self, recorded: Mapping[str, np.ndarray], blobs: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Compute blobs one by one, each from what those before it should hold: one pass over the network.

        Args:
            recorded: What blobs should hold: float32, without batch axis, as ncnn shapes them. Whatever is not among
                them is computed from those that are.
            blobs: Those to compute, in the order of execution.

        Yields:
            Name and value of each blob.

        Raises:
            ConversionError: As `infer_between`.
        """
        computed = set(blobs)
        with self._net.create_extractor() as extractor:
            for blob, array in recorded.items():
                if blob not in computed:
                    self._give(extractor, blob, array)
            for blob in blobs:
                yield blob, self._take(extractor, blob)
                if blob in recorded:
                    self._give(extractor, blob, recorded[blob])

    def _give(self, extractor: ncnn.Extractor, blob: str, array: np.ndarray) -> None:
        # ncnn.Mat shares the array's memory, and ncnn's in-place layers crash on memory that is not its own: the array
        # stays alive until the Mat is cloned.
        array = np.ascontiguousarray(array)
        if blob not in self._index or extractor.input(self._index[blob], ncnn.Mat(array).clone()) != 0:
            raise ConversionError(f"the network has no input blob {blob!r}", where=self.where)

    def _take(self, extractor: ncnn.Extractor, blob: str) -> np.ndarray:
        status, mat = extractor.extract(self._index.get(blob, -1))  # ncnn refuses the index -1
        if status != 0 or mat.empty():
            raise ConversionError(f"ncnn fails to compute blob {blob!r} (status {status})", where=self.where)
        return np.array(mat)
