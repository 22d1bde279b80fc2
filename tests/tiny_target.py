"""A small network to be measured: an ordinary and a depthwise convolution, a branch, and a vector in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hand_made import model, noise
from recorded_bundles import write_bundle

from dwca_export.ncnn.weights import write_weights

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
Input in0 0 1 in0
Convolution conv 1 1 in0 a 0=16 1=3 4=1 5=1 6=432
ConvolutionDepthWise depthwise 1 1 a b 0=16 1=5 4=2 5=0 6=400 7=16
Split split 1 2 b c d
Sigmoid gate 1 1 c e
BinaryOp times 2 1 d e f 0=2
Pooling mean 1 1 f g 0=1 4=1
InnerProduct head 1 1 g out0 0=10 1=1 2=160
"""
SHAPE = (3, 20, 12)


def network():
    return model(TEXT)


def bundle(folder: Path) -> Path:
    """The network as a bundle with two samples."""
    return write_bundle(folder / "tiny_ncnn_model", network(), [noise(*SHAPE), noise(*SHAPE, seed=2)])


def param(folder: Path, *, hints: bool = False) -> Path:
    """The network as bare files; with hints its input tells its shape."""
    made = network()
    text = made.param.text()
    text = text.replace("0 1 in0\n", "0 1 in0 0=12 1=20 2=3\n", 1) if hints else text
    (folder / "net.bin").write_bytes(write_weights(made.weights))
    (folder / "net.param").write_text(text)
    return folder / "net.param"
