"""Holds the predicted packing and storage of blobs to what ncnn does on this machine: needs the base install.

usage: python tests/kernel_layouts.py [BUNDLE]...
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import hand_made
import numpy as np
from observed_blobs import mismatches, observe

from dwca_export.kernel_paths import MODES, host_target, lint
from dwca_export.kernel_paths.facts import FACTS
from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import write_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dwca_export.artifacts import NcnnModel
    from dwca_export.kernel_paths import Blob, KernelPath
    from dwca_export.kernel_paths.facts.rows import Facts

FLOATS = tuple(mode for mode in MODES if mode != "int8")

# At every packing width, and beside it.
CHANNELS = (3, 8, 12, 16, 60, 62, 63, 64, 65)

_IN_PLACE = (
    ("HardSwish", ""),
    ("Sigmoid", ""),
    ("ReLU", ""),
    ("Swish", ""),
    ("HardSigmoid", ""),
    ("Clip", "0=-1.0 1=1.0"),
    ("UnaryOp", "0=0"),
    ("GELU", ""),
    ("ELU", ""),
)


def convolutions(n: int, *, int8: bool = False) -> list[str]:
    """Convolutions of `n` channels over the input (3, 13, 10); the last blob is `c9`."""
    dense, depthwise = ("8=2", "8=1") if int8 else ("", "")
    return [
        "Input -> in0",
        f"Convolution in0 -> c0 0={n} 1=3 4=1 5=1 6={27 * n} {dense}",
        f"ConvolutionDepthWise c0 -> c1 0={n} 1=5 4=2 6={25 * n} 7={n} {depthwise}",
        f"ConvolutionDepthWise c1 -> c2 0={n} 1=3 4=1 5=1 6={9 * n} 7={n} 9=1 {depthwise}",
        f"ConvolutionDepthWise c2 -> c3 0={n} 1=7 4=3 6={49 * n} 7={n} {depthwise}",
        f"ConvolutionDepthWise c3 -> c4 0={n} 1=5 2=2 4=4 6={25 * n} 7={n} {depthwise}",
        f"Convolution c4 -> c5 0={n} 1=1 6={n * n} 9=4 {dense}",
        f"Convolution c5 -> c6 0={n} 1=3 4=1 5=1 6={9 * n * n} {dense}",
        f"Convolution c6 -> c7 0=8 1=5 3=2 4=2 6={25 * n * 8} {dense}",
        f"Convolution c7 -> c8 0={n} 1=3 3=2 4=1 6={9 * n * 8} {dense}",
        f"Convolution c8 -> c9 0={n} 1=1 5=1 6={n * n} {dense}",
    ]


def products(n: int, *, int8: bool = False) -> list[str]:
    """Inner products of a vector and of a matrix."""
    term = "8=2" if int8 else ""
    return [
        "Input -> in0",
        "Pooling in0 -> v 0=1 4=1",
        f"InnerProduct v -> f0 0={n} 1=1 2={3 * n} {term}",
        f"InnerProduct f0 -> f1 0=10 2={10 * n} {term}",
        f"InnerProduct in0 -> f2 0={n} 1=1 2={390 * n} {term}",
        "Reshape in0 -> m 0=13 1=30",
        f"InnerProduct m -> f3 0={n} 2={13 * n} {term}",
        "Reshape in0 -> m4 0=26 1=15",
        f"InnerProduct m4 -> f4 0={n} 2={26 * n} {term}",
    ]


def groups(n: int) -> list[str]:
    """A convolution in groups, and GroupNorm."""
    return [
        "Input -> in0",
        f"Convolution in0 -> a 0={4 * n} 1=1 6={12 * n}",
        f"ConvolutionDepthWise a -> b 0={4 * n} 1=3 4=1 6={36 * n * n} 7=4",
        f"GroupNorm b -> g0 0=4 1={4 * n} 2=1e-5",
        f"GroupNorm g0 -> g1 0={n} 1={4 * n} 2=1e-5",
    ]


def movers(n: int) -> list[str]:
    """Layers that move data or run in place, over blobs of `n` channels."""
    lines = ["Input -> in0", f"Convolution in0 -> x 0={n} 1=1 6={3 * n}"]
    source = "x"
    for index, (kind, params) in enumerate(_IN_PLACE):
        lines.append(f"{kind} {source} -> s{index} {params}")
        source = f"s{index}"
    return [
        *lines,
        f"Pooling {source} -> ph 0=1 1=10 11=1 2=10 12=1 5=1 6=1",
        f"Pooling {source} -> pw 0=1 1=1 11=13 2=1 12=13 5=1 6=1",
        f"Pooling {source} -> max 0=0 1=2 2=2",
        f"Pooling {source} -> adaptive 0=1 7=1 8=1 18=-233",
        f"Pooling {source} -> global 0=1 4=1",
        f"Reshape pw -> t 0=1 1=10 2={n}",
        "Concat ph t -> strips 0=1",
        "Slice strips -> sh sw -23300=2,13,-233 1=1",
        f"Reshape sw -> wide 0=10 1=1 2={n}",
        f"BinaryOp {source} wide -> b0 0=2",
        "BinaryOp b0 sh -> b1 0=2",
        "BinaryOp b1 global -> b2 0=2",
        "BinaryOp b2 -> b3 0=2 1=1 2=0.5",
        "Concat b3 ph2 -> both 0=0",
        f"Convolution in0 -> ph2 0={n + 4} 1=1 6={3 * (n + 4)}",
        f"Slice both -> one two -23300=2,{n},{n + 4} 1=0",
        "Crop one -> cut 0=2 1=3 2=0 3=5 4=6 5=-233",
        f"Crop two -> part 0=0 1=0 2=4 3=10 4=13 5={n}",
        f"Reshape cut -> matrix 0=30 1={n}",
        "Permute matrix -> turned 0=1",
        "Flatten turned -> flat",
        "Reduction part -> mean 0=3 1=0 -23303=1,2 4=1 5=1",
        "Squeeze mean -> thin -23303=1,1",
        "ExpandDims thin -> thick -23303=1,1",
        f"Reshape max -> other 0=6 1={n} 2=5",
    ]


def networks(channels: Sequence[int] = CHANNELS) -> Iterator[tuple[str, NcnnModel, tuple[str, ...]]]:
    """Names, networks and the modes that they are for."""
    for n in channels:
        for name, lines in (("movers", _in_order(movers(n))), ("groups", groups(n))):
            yield f"{name} {n}", hand_made.finish(hand_made.graph(*lines)), FLOATS
        for make in (convolutions, products):
            yield f"{make.__name__} {n}", hand_made.finish(hand_made.graph(*make(n))), FLOATS
            yield f"{make.__name__} {n}", hand_made.finish(hand_made.graph(*make(n, int8=True))), ("int8",)


def _in_order(lines: list[str]) -> list[str]:
    """Producers first."""
    made: set[str] = set()
    ordered: list[str] = []
    while len(ordered) < len(lines):
        for line in lines:
            left, right = line.split("->")
            tops = {word for word in right.split() if "=" not in word}
            if line not in ordered and set(left.split()[1:]) <= made:
                ordered.append(line)
                made |= tops
    return ordered


def predicted_and_seen(
    network: NcnnModel, mode: str, facts: Facts = FACTS
) -> tuple[tuple[KernelPath, ...], dict[str, Blob]]:
    """What is predicted for this machine, and what ncnn does."""
    target = host_target()
    assert target is not None
    with tempfile.TemporaryDirectory() as name:
        files = Path(name) / "net.param", Path(name) / "net.bin"
        files[0].write_text(network.param.text(), encoding="utf-8")
        files[1].write_bytes(write_weights(network.weights))
        seen = observe(network.param, files, [hand_made.noise(3, 13, 10)], mode)
    shapes = {blob: look.shape for blob, look in seen.items()}
    return lint(network.param, shapes, (target.name,), (mode,), facts), seen


def wrong_lines(network: NcnnModel, mode: str, facts: Facts = FACTS) -> list[str]:
    """Where prediction and ncnn differ."""
    paths, seen = predicted_and_seen(network, mode, facts)
    return mismatches(paths, network.param, seen)


def wrong_lines_of_bundle(folder: Path, mode: str) -> list[str]:
    """The same for a bundle with one input."""
    target = host_target()
    assert target is not None
    files = folder / "model.ncnn.param", folder / "model.ncnn.bin"
    param = Param.parse(files[0].read_text(encoding="utf-8"))
    with np.load(folder / "golden.npz") as golden:
        feed = next(golden[key][0] for key in golden.files if key.startswith("input/"))
    seen = observe(param, files, [feed], mode)
    paths = lint(param, {blob: look.shape for blob, look in seen.items()}, (target.name,), (mode,))
    return mismatches(paths, param, seen)


def main(bundles: Sequence[str]) -> int:
    """Print what differs; the exit code is 1 if anything does."""
    lines, n_blobs = [], 0
    for name, network, modes in networks():
        for mode in modes:
            paths, seen = predicted_and_seen(network, mode)
            n_blobs += len(seen)
            lines += [f"{mode}, {name}: {line}" for line in mismatches(paths, network.param, seen)]
    for bundle in bundles:
        for mode in FLOATS:
            lines += [f"{mode}, {bundle}: {line}" for line in wrong_lines_of_bundle(Path(bundle), mode)]
    counts = f"{n_blobs} blobs of hand-made networks and {len(bundles)} bundles, {len(lines)} differences"
    sys.stdout.write("\n".join([*lines, f"{host_target()}: {counts}", ""]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
