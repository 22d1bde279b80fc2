"""Networks of copies of a piece of an ncnn network: in a chain, or side by side on one input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dwca_export.ncnn.param import Layer

if TYPE_CHECKING:
    from dwca_export.ncnn.weights import Weight

INPUT, OUTPUT = "in0", "out0"


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
