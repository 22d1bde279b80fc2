"""ncnn networks written by hand, with seeded weights, run by ncnn itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dwca_export.artifacts import NcnnModel, TensorSpec
from dwca_export.generalise import generalise
from dwca_export.ncnn.graph import Graph, Tap, from_model, to_model
from dwca_export.ncnn.layouts import slots
from dwca_export.ncnn.param import Layer, Param
from dwca_export.ncnn.weights import Weight, write_weights
from dwca_export.runners.ncnn import NcnnRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

TOLERANCE = 1e-5  # relative to the largest value: float32 sums in another order


def parse(line: str) -> Layer:
    """`Type bottom ... -> top ... id=value ...`; the layer is called as its first top."""
    left, right = line.split("->")
    kind, *bottoms = left.split()
    words = right.split()
    tops = tuple(word for word in words if "=" not in word)
    params = dict(word.split("=", 1) for word in words if "=" in word)
    return Layer(kind, tops[0], tuple(bottoms), tops, {int(key): value for key, value in params.items()})


def random_weights(layers: Iterable[Layer], seed: int = 0) -> tuple[Weight, ...]:
    generator = np.random.default_rng(seed)
    return tuple(
        Weight(
            layer.name,
            slot.name,
            "fp32" if slot.kept == "tagged" else "raw",
            generator.standard_normal(slot.shape).astype(np.float32),
        )
        for layer in layers
        for slot in slots(layer)
    )


def graph(*lines: str, outputs: Sequence[str] = (), taps: Mapping[str, str] | None = None) -> Graph:
    """A graph without `Split` layers.

    Args:
        lines: See `parse`.
        outputs: By default what no layer reads.
        taps: Name -> blob.
    """
    layers = tuple(map(parse, lines))
    weights: dict[str, tuple[Weight, ...]] = {}
    for weight in random_weights(layers):
        weights[weight.layer] = (*weights.get(weight.layer, ()), weight)
    made = Graph(layers, weights, taps=tuple(Tap(*pair) for pair in (taps or {}).items()))
    sinks = [blob for layer in layers for blob in layer.tops if not made.readers(blob)]
    return Graph(layers, weights, tuple(outputs) or tuple(sinks), made.taps)


def model(text: str, outputs: int = 1, taps: Sequence[str] = (), seed: int = 0) -> NcnnModel:
    """What pnnx could have written: layers in the form of a param, with `Split`, without the two counts."""
    lines = [line.strip() for line in text.strip().splitlines()]
    blobs = {word for line in lines for word in line.split()[4 : 4 + sum(map(int, line.split()[2:4]))]}
    param = Param.parse("\n".join(["7767517", f"{len(lines)} {len(blobs)}", *lines, ""]))
    inputs = tuple(TensorSpec(f"x{index}", (1, 1)) for index in range(len(param.inputs)))
    named = tuple(TensorSpec(f"y{index}", (1, 1)) for index in range(outputs))
    return NcnnModel(param, random_weights(param.layers, seed), inputs, named, tuple(taps))


def noise(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def finish(made: Graph) -> NcnnModel:
    """The graph in ncnn's form."""
    inputs = tuple(TensorSpec(f"x{index}", (1,)) for index, layer in enumerate(_inputs(made)))
    outputs = tuple(TensorSpec(f"y{index}", (1,)) for index in range(len(made.outputs)))
    return to_model(made, NcnnModel(Param(()), (), inputs, outputs))


def run(network: NcnnModel, arrays: Sequence[np.ndarray], blobs: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The outputs, or other blobs, of an ncnn network on arrays without batch axis."""
    feeds = {spec.name: array[np.newaxis] for spec, array in zip(network.inputs, arrays, strict=True)}
    inputs = [TensorSpec(name, array.shape) for name, array in feeds.items()]
    wanted = blobs or [f"out{index}" for index in range(len(network.outputs))]
    with tempfile.TemporaryDirectory() as name:
        param, weights = Path(name) / "net.param", Path(name) / "net.bin"
        param.write_text(network.param.text(), encoding="utf-8")
        weights.write_bytes(write_weights(network.weights))
        with NcnnRunner(param, weights, inputs, network.outputs) as runner:
            return runner.infer_blobs(feeds, list(wanted))


def values(made: Graph, *arrays: np.ndarray) -> list[np.ndarray]:
    """The outputs of a graph."""
    return list(run(finish(made), arrays).values())


def tapped(made: Graph, *arrays: np.ndarray) -> dict[str, np.ndarray]:
    """The value of each tap of a graph."""
    network = finish(made)
    found = run(network, arrays, [tap.blob for tap in network.tapped])
    return {tap.name: found[tap.blob] for tap in network.tapped}


def assert_close(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float = TOLERANCE) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.shape == other.shape
        assert np.abs(one.astype(np.float64) - other).max() <= tolerance * max(np.abs(other).max(), 1e-3)


def any_size(make: Callable[[int, int], Graph], sizes: Sequence[tuple[int, int]], channels: int = 3) -> Graph:
    """The graph that `generalise` makes of those that `make` writes for some sizes."""
    networks = [finish(make(*size)) for size in sizes]
    blobs = [
        run(network, [noise(channels, *size)], [blob for layer in from_model(network).layers for blob in layer.tops])
        for network, size in zip(networks, sizes, strict=True)
    ]
    return generalise(networks, blobs)[0]


def assert_right_at(
    made: Graph, make: Callable[[int, int], Graph], sizes: Sequence[tuple[int, int]], channels: int = 3
) -> None:
    """Hold a graph for every size to those that `make` writes for sizes that it was not made from."""
    for size in sizes:
        x = noise(channels, *size)
        assert_close(values(made, x), values(make(*size), x))


def _inputs(made: Graph) -> list[Layer]:
    return [layer for layer in made.layers if layer.type == "Input"]
