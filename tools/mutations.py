"""Plants faults in the network of a bundle: one change to one layer, drawn at random or asked for.

A planted bundle has its hashes renewed, so that only the numbers can tell.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.bundle import MANIFEST, PARAM
from dwca_export.ncnn.param import Layer, Param
from dwca_export.ncnn.weights import Weight, read_weights, write_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

BIN = "model.ncnn.bin"
_ADD, _MUL = 0, 2  # of BinaryOp
_HARDSWISH = 6  # as an activation
_TWO = 2


@dataclass(frozen=True)
class Network:
    """What a fault is planted in.

    Attributes:
        layers: Those of the param, in order.
        weights: Those of the bin, in order.
    """

    layers: tuple[Layer, ...]
    weights: tuple[Weight, ...]

    def with_layer(self, name: str, change: Callable[[Layer], Layer]) -> Network:
        """The network with one layer changed."""
        return replace(self, layers=tuple(change(one) if one.name == name else one for one in self.layers))

    def with_weight(self, layer: str, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Network:
        """The network with one tensor changed."""

        def changed(one: Weight) -> Weight:
            hit = (one.layer, one.name) == (layer, name)
            return replace(one, data=change(one.data.copy()).astype(one.data.dtype)) if hit else one

        return replace(self, weights=tuple(map(changed, self.weights)))


@dataclass(frozen=True)
class Mutation:
    """A planted fault.

    Attributes:
        kind: What was done, in general.
        layers: Layers that compute something else now; the first to run is the one to be named.
        network: The result.
    """

    kind: str
    layers: tuple[str, ...]
    network: Network


def read_network(bundle: Path) -> Network:
    """The fp32 network of a bundle."""
    param = Param.parse((bundle / PARAM).read_text(encoding="utf-8"))
    return Network(param.layers, read_weights(param, (bundle / BIN).read_bytes()))


def plant(bundle: Path, target: Path, network: Network) -> Path:
    """Copy a bundle with another network in it, hashes renewed.

    Args:
        bundle: The sound one.
        target: The copy; one that is there already is replaced.
        network: What its fp32 network becomes.
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(bundle, target)
    (target / PARAM).write_text(Param(network.layers).text(), encoding="utf-8")
    (target / BIN).write_bytes(write_weights(network.weights))
    renew_hashes(target, PARAM, BIN)
    return target


def renew_hashes(bundle: Path, *names: str) -> None:
    """Make the manifest name files as they are."""
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    for name in names:
        manifest["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def random_mutations(network: Network, seed: int) -> Iterator[Mutation]:
    """Draw mutations without end.

    Args:
        network: The sound one.
        seed: The same seed gives the same mutations.
    """
    generator = np.random.default_rng(seed)
    while True:
        draw = _DRAWS[generator.integers(len(_DRAWS))]
        mutation = draw(network, generator)
        if mutation is not None:
            yield mutation


def _pick(items: Sequence[Any], generator: np.random.Generator) -> Any:
    """One of them; None if there is none."""
    return items[generator.integers(len(items))] if items else None


def _of_type(network: Network, *types: str) -> list[Layer]:
    return [layer for layer in network.layers if layer.type in types]


def _a_weight(network: Network, generator: np.random.Generator, names: tuple[str, ...] = ()) -> Weight:
    found = [one for one in network.weights if one.data.dtype == np.float32 and (not names or one.name in names)]
    weight: Weight = _pick(found, generator)
    return weight


def _one_number(
    kind: str, change: Callable[[np.float32], float]
) -> Callable[[Network, np.random.Generator], Mutation | None]:
    def draw(network: Network, generator: np.random.Generator) -> Mutation | None:
        weight = _a_weight(network, generator)
        index = generator.integers(weight.data.size)

        def apply(data: np.ndarray) -> np.ndarray:
            data.flat[index] = change(data.flat[index])
            return data

        return Mutation(kind, (weight.layer,), network.with_weight(weight.layer, weight.name, apply))

    return draw


def _bit(network: Network, generator: np.random.Generator) -> Mutation:
    weight = _a_weight(network, generator)
    index, bit = int(generator.integers(weight.data.size)), int(generator.integers(32))

    def apply(data: np.ndarray) -> np.ndarray:
        bits = data.reshape(-1).view(np.uint32)
        bits[index] ^= np.uint32(1 << bit)
        return data

    return Mutation("bit flipped", (weight.layer,), network.with_weight(weight.layer, weight.name, apply))


def _whole(
    kind: str, names: tuple[str, ...], change: Callable[[np.ndarray], np.ndarray]
) -> Callable[[Network, np.random.Generator], Mutation | None]:
    def draw(network: Network, generator: np.random.Generator) -> Mutation | None:
        weight = _a_weight(network, generator, names)
        return Mutation(kind, (weight.layer,), network.with_weight(weight.layer, weight.name, change))

    return draw


def _exchanged(network: Network, generator: np.random.Generator) -> Mutation | None:
    one = _a_weight(network, generator, ("weight",))
    alike = [
        w for w in network.weights if w.name == "weight" and w.data.shape == one.data.shape and w.layer != one.layer
    ]
    other = _pick(alike, generator)
    if other is None:
        return None
    changed = network.with_weight(one.layer, "weight", lambda _: other.data.copy())
    changed = changed.with_weight(other.layer, "weight", lambda _: one.data.copy())
    return Mutation("weights exchanged", (one.layer, other.layer), changed)


def _parameter(
    kind: str, types: tuple[str, ...], change: Callable[[Layer], Layer | None]
) -> Callable[[Network, np.random.Generator], Mutation | None]:
    def draw(network: Network, generator: np.random.Generator) -> Mutation | None:
        layer = _pick(_of_type(network, *types), generator)
        changed = change(layer) if layer is not None else None
        if changed is None:
            return None
        return Mutation(kind, (layer.name,), network.with_layer(layer.name, lambda _: changed))

    return draw


def _rewired(network: Network, generator: np.random.Generator) -> Mutation | None:
    """A layer reads what another reads: another alias of the same kind, or a blob from elsewhere."""
    layer = _pick([one for one in network.layers if one.bottoms and one.type not in ("Split", "Concat")], generator)
    before = [one for one in network.layers[: network.layers.index(layer)] if one.type == layer.type and one.bottoms]
    other = _pick(before, generator)
    if other is None:
        return None
    source = _pick(
        [split for split in network.layers if split.type == "Split" and set(split.tops) & set(other.bottoms)], generator
    )
    if source is None:
        return None
    free = f"{source.tops[0]}_planted"
    changed = network.with_layer(source.name, lambda one: replace(one, tops=(*one.tops, free)))
    changed = changed.with_layer(layer.name, lambda one: replace(one, bottoms=(free, *one.bottoms[1:])))
    return Mutation("input from elsewhere", (layer.name,), changed)


def _swapped_tops(layer: Layer) -> Layer:
    return replace(layer, tops=(*layer.tops[1:], layer.tops[0]))


def _dropped_residual(network: Network, generator: np.random.Generator) -> Mutation | None:
    layer = _pick(
        [one for one in _of_type(network, "BinaryOp") if one.int(0, 0) == _ADD and len(one.bottoms) == _TWO], generator
    )
    if layer is None:
        return None
    return Mutation("residual dropped", (layer.name,), network.with_layer(layer.name, drop_residual))


def drop_residual(layer: Layer) -> Layer:
    """A sum of two blobs that becomes the second one plus nothing."""
    return replace(layer, bottoms=layer.bottoms[1:], params={}).with_params({0: _ADD, 1: 1, 2: 0.0})


def _group_norm_of_one(layer: Layer) -> Layer | None:
    return layer.with_params({0: 1}) if layer.int(0) > 1 else None


def _smaller_padding(layer: Layer) -> Layer | None:
    """The whole image a pixel further to one side, shapes kept."""
    pad = layer.int(4, 0)
    return layer.with_params({4: pad - 1, 15: pad + 1, 14: layer.int(14, pad), 16: layer.int(14, pad)}) if pad else None


_DRAWS: tuple[Callable[[Network, np.random.Generator], Mutation | None], ...] = (
    _one_number("sign of a weight", lambda value: -value),
    _one_number("weight times 1.5", lambda value: value * 1.5),
    _one_number("weight is NaN", lambda _: np.nan),
    _one_number("weight is huge", lambda _: 1e30),
    _bit,
    _whole("biases zeroed", ("bias", "beta"), np.zeros_like),
    _whole("weights times 1.01", ("weight", "gamma"), lambda data: data * np.float32(1.01)),
    _whole("weights in reverse order", ("weight",), lambda data: data.reshape(-1)[::-1].reshape(data.shape)),
    _exchanged,
    _parameter("GroupNorm of one group", ("GroupNorm",), _group_norm_of_one),
    _parameter("eps times 100", ("GroupNorm",), lambda one: one.with_params({2: one.float(2, 1e-3) * 100})),
    _parameter("padding moved", ("ConvolutionDepthWise",), _smaller_padding),
    _parameter("Hardswish is Swish", ("HardSwish",), lambda one: replace(one, type="Swish", params={})),
    _parameter(
        "Hardswish of another slope",
        ("Convolution",),
        lambda one: one.with_params({10: (0.2, 0.5)}) if one.int(9, 0) == _HARDSWISH else None,
    ),
    _parameter("activation left out", ("Convolution",), lambda one: one.with_params({9: 0}) if one.int(9, 0) else None),
    _parameter("parts exchanged", ("Slice",), _swapped_tops),
    _parameter(
        "sum instead of product",
        ("BinaryOp",),
        lambda one: one.with_params({0: _ADD}) if one.int(0, 0) == _MUL else None,
    ),
    _parameter(
        "largest instead of mean", ("Pooling",), lambda one: one.with_params({0: 0}) if one.int(0, 0) == 1 else None
    ),
    _parameter(
        "operands exchanged",
        ("BinaryOp",),
        lambda one: replace(one, bottoms=one.bottoms[::-1]) if len(one.bottoms) == _TWO else None,
    ),
    _parameter("inputs exchanged", ("Concat",), lambda one: replace(one, bottoms=one.bottoms[::-1])),
    _dropped_residual,
    _rewired,
)
