"""ncnn's text param: a typed view that loses nothing.

A param is the graph without the weights: a magic number, the two counts, then one layer a line ::

    7767517
    2 2
    Input                    in0                      0 1 in0
    Convolution              conv_6                   1 1 in0 out0 0=64 1=1 -23310=2,0.166666672,0.5 6=4096

Parameters keep the text that they were written with, so that `Param.parse(text).text() == text` for every file that
pnnx writes. The typed accessors of `Layer` answer what ncnn would take from that text, or refuse: ncnn itself hands out
the bits of `1` where a layer asks for a float and finds an integer.

The format is that of ncnn's `src/net.cpp` and of pnnx's `src/save_ncnn.cpp`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from dwca_export.errors import ConversionError
from dwca_export.ncnn.values import ARRAY_BASE, MAX_PARAMS, decode, encode, plain_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dwca_export.ncnn.values import Decoded, Value

MAGIC = 7767517
MAX_NAME_BYTES = 255

# Inside `Layer`, `int` and `float` are its accessors.
Int: TypeAlias = int
Float: TypeAlias = float

_HEAD_WORDS = 4  # type, name, number of bottoms, number of tops
_COUNT = re.compile(r"\d{1,6}", re.ASCII)
_KEY = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_PARAM = re.compile(r'(?P<key>[^\s=]*)=(?P<token>"[^"\n]*"|[^\s"]+)(?:\s+|$)')


@dataclass(frozen=True)
class Layer:
    """One line of a param.

    Attributes:
        type: ncnn layer type, such as `Convolution`.
        name: Unique name of the layer.
        bottoms: Names of the blobs it reads.
        tops: Names of the blobs it writes.
        params: Parameter text by raw id in written order; arrays under their raw id and with their count
            (`{0: "64", -23303: "2,56,48", 19: '"0"'}`).
    """

    type: str
    name: str
    bottoms: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()
    params: Mapping[Int, str] = field(default_factory=dict, hash=False)

    def int(self, key: Int, default: Int | None = None) -> Int:
        """The integer under `key`, or `default` where the layer does not give it.

        Args:
            key: Plain parameter id, 0 to 31.
            default: ncnn's default for this layer type; without one the parameter has to be there.

        Raises:
            ConversionError: The parameter is absent and there is no default, or it is no integer.
        """
        value = self._get(key, default)
        return value if isinstance(value, int) else self.refuse(f"parameter {key} is {value!r}, not an integer")

    def float(self, key: Int, default: Float | None = None) -> Float:
        """The float under `key`, as precise as float32, or `default` where the layer does not give it.

        Raises:
            ConversionError: As `int`; an integer other than 0 too, of which ncnn would take the bits.
        """
        return self._as_float(key, self._get(key, None if default is None else float(default)))

    def ints(self, key: Int, default: Sequence[Int] | None = None) -> tuple[Int, ...]:
        """The integer array under the plain id `key`, or `default` where the layer does not give it.

        An array written with the count 0 comes back as `()`; ncnn takes it for absent.

        Raises:
            ConversionError: As `int`, or the count disagrees with the values.
        """
        values = self._array(key, default)
        if not all(isinstance(value, int) for value in values):
            self.refuse(f"parameter {key} holds {values!r}, not integers")
        return tuple(map(int, values))

    def floats(self, key: Int, default: Sequence[Float] | None = None) -> tuple[Float, ...]:
        """The float array under the plain id `key`, as `ints`."""
        values = self._array(key, None if default is None else tuple(map(float, default)))
        return tuple(self._as_float(key, value) for value in values)

    def string(self, key: Int, default: str | None = None) -> str:
        """The string under `key` without its quotes, or `default` where the layer does not give it.

        Raises:
            ConversionError: The parameter is absent and there is no default, or it is a number.
        """
        value = self._get(key, default)
        return value if isinstance(value, str) else self.refuse(f"parameter {key} is {value!r}, not a string")

    def has(self, key: Int) -> bool:
        """Whether the layer gives the parameter with the plain id `key`."""
        return key in self.params or ARRAY_BASE - key in self.params

    def with_params(self, values: Mapping[Int, Value]) -> Layer:
        """A layer with these parameters set, each written as ncnn reads it.

        A parameter that is there keeps its place, others follow at the end. Sequences become arrays, strings are
        quoted, floats keep their float32 value exactly.

        Args:
            values: By plain id, 0 to 31.

        Raises:
            ConversionError: ncnn could not read the value back (not finite, beyond int32 or float32, an empty array,
                a string with quotes, ...).
        """
        encoded = {key: self._encode(key, value) for key, value in values.items()}
        params: dict[Int, str] = {}
        for raw, token in self.params.items():
            params.update([encoded.pop(plain_id(raw))] if plain_id(raw) in encoded else [(raw, token)])
        params.update(encoded.values())
        return replace(self, params=params)

    def without_params(self, keys: Iterable[Int]) -> Layer:
        """A layer without the parameters of these plain ids; ids that are not there are no error."""
        dropped = set(keys)
        return replace(self, params={raw: token for raw, token in self.params.items() if plain_id(raw) not in dropped})

    def _get(self, key: Int, default: Decoded | None) -> Decoded:
        raw = key if key in self.params else ARRAY_BASE - key
        if raw in self.params:
            return self._decode(raw)
        return default if default is not None else self.refuse(f"parameter {key} is missing")

    def _array(self, key: Int, default: Sequence[Int | Float] | None) -> tuple[Int | Float, ...]:
        value = self._get(key, None if default is None else tuple(default))
        return value if isinstance(value, tuple) else self.refuse(f"parameter {key} is {value!r}, not an array")

    def _as_float(self, key: Int, value: Decoded) -> Float:
        if isinstance(value, float) or (isinstance(value, int) and value == 0):
            return float(value)
        return self.refuse(f"parameter {key} is {value!r}, not a float")

    def _decode(self, raw: Int) -> Decoded:
        try:
            return decode(raw, self.params[raw])
        except ValueError as error:
            self.refuse(f"parameter {raw}={self.params[raw]}: {error}")

    def _encode(self, key: Int, value: Value) -> tuple[Int, str]:
        try:
            return encode(key, value)
        except ValueError as error:
            self.refuse(f"parameter {key} cannot be {value!r}: {error}")

    def refuse(self, what: str) -> NoReturn:
        """Raise the ConversionError that says what is wrong with this layer."""
        raise ConversionError(what, where=f"ncnn param, layer {self.name} ({self.type})")


@dataclass(frozen=True)
class Param:
    """A whole param.

    Attributes:
        layers: In the order in which ncnn runs and loads them.
    """

    layers: tuple[Layer, ...]

    @classmethod
    def parse(cls, text: str) -> Param:
        """Read a param and `check` it.

        Args:
            text: All of the file.

        Raises:
            ConversionError: Not a param, cut off, counts that do not hold, parameters that ncnn could not read, or what
                `check` refuses.
        """
        lines = [line for line in text.split("\n") if line.strip()]
        if not lines or lines[0].strip() != str(MAGIC):
            raise ConversionError(f"no ncnn param: the first line is not {MAGIC}", where="ncnn param")
        if not text.endswith("\n"):
            raise ConversionError("the last line does not end: the file is cut off", where="ncnn param")
        param = cls(tuple(_parse_layer(line) for line in lines[2:]))
        param.check()
        _check_counts(param, lines[1])
        return param

    def text(self) -> str:
        """The file: what pnnx would write for the same layers, the counts included."""
        names = {blob for layer in self.layers for blob in (*layer.bottoms, *layer.tops)}
        lines = [str(MAGIC), f"{len(self.layers)} {len(names)}", *map(_layer_text, self.layers)]
        return "".join(f"{line}\n" for line in lines)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tops of the `Input` layers, in order."""
        return tuple(blob for layer in self.layers if layer.type == "Input" for blob in layer.tops)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Blobs that no layer reads, in the order in which they are written."""
        return tuple(blob for blob in self.blobs if not self.consumers(blob))

    @cached_property
    def blobs(self) -> tuple[str, ...]:
        """All blobs, in the order in which they are written."""
        return tuple(dict.fromkeys(blob for layer in self.layers for blob in layer.tops))

    @property
    def computed(self) -> tuple[str, ...]:
        """The blobs that hold a result, in the order of execution: not those of `Input`, nor the aliases of `Split`."""
        return tuple(blob for layer in self.layers if layer.type not in ("Input", "Split") for blob in layer.tops)

    def producer(self, blob: str) -> Layer | None:
        """The layer that writes `blob`."""
        return self._producers.get(blob)

    def consumers(self, blob: str) -> tuple[Layer, ...]:
        """The layers that read `blob`, in order; at most one in a param that passes `check`."""
        return self._consumers.get(blob, ())

    def check(self) -> None:
        """Hold the graph to ncnn's rules.

        Every blob is written once and before it is read, and read at most once (ncnn wants a `Split` where two layers
        read one); names are unique and can be read back.

        Raises:
            ConversionError: Naming the layer and the blob.
        """
        if not self.blobs:
            raise ConversionError("no layer, or none that writes a blob", where="ncnn param")
        readers: dict[str, str] = {}
        written: set[str] = set()
        for layer in self.layers:
            _check_names(layer)
            self._check_bottoms(layer, written, readers)
            for blob in layer.tops:
                if blob in written:
                    layer.refuse(f"blob {blob} is written a second time")
                written.add(blob)
        _check_unique(self.layers)

    def _check_bottoms(self, layer: Layer, written: set[str], readers: dict[str, str]) -> None:
        for blob in layer.bottoms:
            if blob not in written:
                known = blob in self._producers
                layer.refuse(f"blob {blob} is read before it is written" if known else f"blob {blob} is unknown")
            if blob in readers:
                layer.refuse(f"blob {blob} is read a second time, after {readers[blob]}; it needs a Split")
            readers[blob] = layer.name

    @cached_property
    def _producers(self) -> dict[str, Layer]:
        return {blob: layer for layer in self.layers for blob in layer.tops}

    @cached_property
    def _consumers(self) -> dict[str, tuple[Layer, ...]]:
        consumers: dict[str, tuple[Layer, ...]] = {}
        for layer in self.layers:
            for blob in dict.fromkeys(layer.bottoms):
                consumers[blob] = (*consumers.get(blob, ()), layer)
        return consumers


def _parse_layer(line: str) -> Layer:
    fields = line.split(maxsplit=_HEAD_WORDS)
    if len(fields) < _HEAD_WORDS or not all(_COUNT.fullmatch(count) for count in fields[2:4]):
        raise ConversionError("no layer: type, name and two counts are wanted", where=f"ncnn param, line {line!r}")
    n_bottoms, n_tops = int(fields[2]), int(fields[3])
    tops_at, params_at = _HEAD_WORDS + n_bottoms, _HEAD_WORDS + n_bottoms + n_tops
    words = line.split(maxsplit=params_at)
    layer = Layer(words[0], words[1], tuple(words[_HEAD_WORDS:tops_at]), tuple(words[tops_at:params_at]))
    if len(words) < params_at:
        layer.refuse(f"cut off: {n_bottoms} bottoms and {n_tops} tops are announced")
    return replace(layer, params=_parse_params(layer, "".join(words[params_at:])))


def _parse_params(layer: Layer, text: str) -> dict[int, str]:
    params: dict[int, str] = {}
    for key, token in _split_params(layer, text):
        if not _KEY.fullmatch(key) or not 0 <= plain_id(int(key)) < MAX_PARAMS:
            layer.refuse(f"{key!r} is no parameter id")
        if plain_id(int(key)) in map(plain_id, params):
            layer.refuse(f"parameter {plain_id(int(key))} is given twice")
        params[int(key)] = token
        replace(layer, params=params)._decode(int(key))
    return params


def _split_params(layer: Layer, text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _PARAM.match(text, position)
        if match is None:
            layer.refuse(f"{text[position:].strip()!r} is no list of id=value")
        yield match["key"], match["token"]
        position = match.end()


def _layer_text(layer: Layer) -> str:
    head = [_column(layer.type), _column(layer.name), str(len(layer.bottoms)), str(len(layer.tops))]
    params = (f"{raw}={token}" for raw, token in layer.params.items())
    return " ".join([*head, *layer.bottoms, *layer.tops, *params])


def _column(name: str) -> str:
    """C's `%-24s`, which counts bytes."""
    return name + " " * (24 - len(name.encode()))


def _check_counts(param: Param, header: str) -> None:
    expected = param.text().split("\n", 2)[1]
    if header.split() != expected.split():
        raise ConversionError(
            f"the header announces {header.strip()!r} layers and blobs, the file holds {expected!r}", where="ncnn param"
        )


def _check_names(layer: Layer) -> None:
    for name in (layer.type, layer.name, *layer.bottoms, *layer.tops):
        if name.split() != [name] or len(name.encode()) > MAX_NAME_BYTES:
            layer.refuse(f"{name!r} cannot be a name: empty, with white space, or above {MAX_NAME_BYTES} bytes")
    # ncnn ends the parameters of a layer at the first word that does not start as a number.
    if not layer.type[0].isalpha():
        layer.refuse("a layer type starts with a letter")


def _check_unique(layers: Sequence[Layer]) -> None:
    # pnnx numbers its Splits twice where constants are shared; they read no weights, so nothing can be mistaken.
    counts = Counter(layer.name for layer in layers if layer.type != "Split")
    for layer in layers:
        if counts[layer.name] > 1:
            layer.refuse("another layer has the same name")
