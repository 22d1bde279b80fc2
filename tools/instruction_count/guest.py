"""Runs depthwise layers between marks, for qemu's plugin to count: ncnn's stock kernel, and those of our own.

What is counted is what a layer costs more: beside each region stands one in which the same layer is computed less
often, in the same process. The difference holds no Python, no packing and no copy of the input or the output.

Nothing here depends on emulation: on a real machine the marks do nothing.

usage: python guest.py REQUEST OUT
  REQUEST  JSON: {"layers": [...], "modes": [...], "names": [...] or null for all kernels}; a layer has "channels",
           "height", "width", "kernel" and "stride"
  OUT      file for JSON: {"cases": [...], "missing": why there are no kernels of ours, or null}; a case has "name",
           "layer", "storage", "arithmetic", "outputs", "elempack" and "isa", and "unavailable", or "tags" and "layers":
           the second region of "tags" computes the layer so many times more than the first
"""

from __future__ import annotations

import ctypes
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import ncnn
import numpy as np

BEGIN, END = 0x5A00, 0x5A01
# So often is each region executed after the first time; the least of them counts.
TAKES = 3
# ncnn's layer is computed so often that so many outputs are; that makes what lies around it small.
OUTPUTS = 400_000

# ncnn's layer, and a network of it alone.
NCNN, NCNN_NETWORK = "ncnn", "ncnn network"

# Storage, arithmetic, ncnn's options.
MODES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "fp32": ("fp32", "fp32", ()),
    "fp16-storage": ("fp16", "fp32", ("use_fp16_packed", "use_fp16_storage")),
    "fp16-arithmetic": ("fp16", "fp16", ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")),
    "bf16-storage": ("bf16", "fp32", ("use_bf16_storage",)),
}
OPTIONS = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_int8_inference")
BITS = {"fp32": 32, "fp16": 16, "bf16": 16}

_libc = ctypes.CDLL(None)
_tags = itertools.count()


class Stock:
    """ncnn's own kernel: many layers beside each other that read the same input, two groups of them.

    A `Split` hands the input, packed once, to all layers; a `Noop` takes the outputs of the first half, another those
    of all. Beside each other and not in a chain, so that it works with strides too.
    """

    def __init__(self, layer: dict[str, int], mode: str, layers: int) -> None:
        self.layers = layers
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1
        for option in OPTIONS:
            setattr(self._net.opt, option, option in MODES[mode][2])
        rng = np.random.default_rng(0)
        weights = rng.standard_normal(layer["channels"] * layer["kernel"] ** 2, np.float32)
        self._x = rng.standard_normal((layer["channels"], layer["height"], layer["width"]), np.float32)
        with tempfile.TemporaryDirectory() as folder:
            param, binary = Path(folder, "param"), Path(folder, "bin")
            param.write_text(self._param(layer), encoding="utf-8")
            binary.write_bytes((bytes(4) + weights.tobytes()) * 2 * self.layers)
            if self._net.load_param(str(param)) != 0 or self._net.load_model(str(binary)) != 0:
                raise RuntimeError(f"ncnn does not load the layer {name(layer)}")

    def _param(self, layer: dict[str, int]) -> str:
        c, k, stride = layer["channels"], layer["kernel"], layer["stride"]
        terms = f"0={c} 1={k} 3={stride} 4={k // 2} 6={c * k * k} 7={c}"
        every = range(2 * self.layers)
        half, whole = (" ".join(f"o{i}" for i in every[:count]) for count in (self.layers, 2 * self.layers))
        lines = ["Input in 0 1 in", f"Split split 1 {2 * self.layers} in {' '.join(f'i{i}' for i in every)}"]
        lines += [f"ConvolutionDepthWise layer{i} 1 1 i{i} o{i} {terms}" for i in every]
        lines += [f"Noop half {self.layers} 1 {half} half", f"Noop whole {2 * self.layers} 1 {whole} whole"]
        return f"7767517\n{len(lines)} {4 * self.layers + 3}\n" + "\n".join(lines) + "\n"

    def compute(self, blob: str, tag: int | None = None, *, packed: bool = True) -> ncnn.Mat:
        """Compute "half" of the layers or the "whole", in a region with a tag or without one.

        Returns:
            The output of the first layer as ncnn keeps it, packed and in its storage type, or as a user gets it.
        """
        extractor = self._net.create_extractor()
        extractor.input("in", ncnn.Mat(self._x))
        if tag is not None:
            begin(tag)
        status, found = extractor.extract(blob, int(packed))
        if tag is not None:
            end()
        if status != 0:
            raise RuntimeError(f"ncnn does not compute the layer: status {status}")
        return found


def begin(tag: int) -> None:
    """Mark where a region begins."""
    _libc.syscall(BEGIN, tag)


def end() -> None:
    """Mark where the region ends."""
    _libc.syscall(END)


def name(layer: dict[str, int]) -> str:
    """As `str(kernels.Layer)`."""
    return "{channels}x{height}x{width} k{kernel} s{stride}".format(**layer)


def outputs(layer: dict[str, int]) -> int:
    """Numbers that the layer computes, with padding kernel // 2."""
    rows, columns = (
        (layer[side] + layer["kernel"] // 2 * 2 - layer["kernel"]) // layer["stride"] + 1
        for side in ("height", "width")
    )
    return layer["channels"] * rows * columns


def stock_case(layer: dict[str, int], mode: str) -> dict[str, Any]:
    """Regions of ncnn's kernel."""
    storage = MODES[mode][0]
    stock = Stock(layer, mode, max(1, OUTPUTS // outputs(layer)))
    found = stock.compute("whole")
    if found.elemsize * 8 // found.elempack != BITS[storage]:
        return {"unavailable": f"without fp16 arithmetic in the CPU ncnn stores fp32, not {storage}"}
    tags = next(_tags), next(_tags)
    for _ in range(TAKES):
        for tag, blob in zip(tags, ("half", "whole"), strict=True):
            stock.compute(blob, tag)
    return {"elempack": found.elempack, "tags": tags, "layers": stock.layers}


def whole_case(layer: dict[str, int], mode: str) -> dict[str, Any]:
    """Regions of a network that is ncnn's layer alone: with packing, unpacking and the copy of the output."""
    stock = Stock(layer, mode, layers=1)
    found = stock.compute("half")
    tags = next(_tags), next(_tags)
    for _ in range(TAKES):
        begin(tags[0])
        end()
        stock.compute("half", tags[1], packed=False)
    return {"elempack": found.elempack, "tags": tags, "layers": 1}


def kernel_case(kernels: Any, layer: dict[str, int], mode: str, algorithm: str) -> dict[str, Any]:
    """Regions of a kernel of ours."""
    storage, arithmetic, _ = MODES[mode]
    shape = kernels.Layer(**layer)
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((shape.channels, shape.kernel, shape.kernel), np.float32)
    try:
        plan = kernels.plan(shape, weight, algorithm=algorithm, storage=storage, arithmetic=arithmetic)
    except kernels.UnavailableError as reason:
        return {"unavailable": reason.what}
    x = kernels.pack(
        rng.standard_normal((shape.channels, shape.height, shape.width), np.float32), plan.elempack, storage
    )
    y = plan(x)
    tags = next(_tags), next(_tags)
    for _ in range(TAKES):
        for calls, tag in enumerate(tags, start=1):
            begin(tag)
            plan.time(x, y, calls)
            end()
    return {"elempack": plan.elempack, "isa": plan.isa, "tags": tags, "layers": 1}


def library() -> tuple[Any, str | None]:
    """Our kernels, and why there are none."""
    try:
        from dwca_export import kernels
        from dwca_export.kernels import missing
    except ImportError as reason:
        return None, str(reason)
    return (None, missing()) if missing() else (kernels, None)


def case(kernels: Any, layer: dict[str, int], mode: str, kernel: str) -> dict[str, Any]:
    """Regions of a kernel, by its name."""
    if kernel == NCNN:
        return stock_case(layer, mode)
    if kernel == NCNN_NETWORK:
        return whole_case(layer, mode)
    return kernel_case(kernels, layer, mode, kernel)


def wanted(kernels: Any, layer: dict[str, int], names: list[str] | None) -> list[str]:
    """The kernels to be counted that can compute the layer; without `names` all, ncnn's first."""
    ours = kernels.algorithms(kernels.Layer(**layer)) if kernels else ()
    if names is None:
        return [NCNN, *ours]
    return [one for one in names if one in (NCNN, NCNN_NETWORK, *ours)]


def main(request: dict[str, Any], out: Path) -> None:
    """Run what is wanted and write what was run."""
    kernels, missing = library()
    cases = []
    for layer, mode in itertools.product(request["layers"], request["modes"]):
        storage, arithmetic, _ = MODES[mode]
        for kernel in wanted(kernels, layer, request["names"]):
            place = {"name": kernel, "layer": name(layer), "storage": storage, "arithmetic": arithmetic}
            figures = {"outputs": outputs(layer), "elempack": None, "isa": None}
            cases.append(place | figures | case(kernels, layer, mode, kernel))
    out.write_text(json.dumps({"cases": cases, "missing": missing}), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
