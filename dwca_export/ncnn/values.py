"""The text of one ncnn parameter value, read and written as ncnn reads it.

ncnn scans values with rules of its own (`src/paramdict.cpp`): 15 characters of a number, decimals collected in 32-bit
integers, a point or an `e` telling floats from integers, strings in two bites. `decode` answers what ncnn would take
from a text and refuses what it would misread; `encode` writes what pnnx would write (`src/utils.cpp`).
"""

from __future__ import annotations

import re
import struct
from numbers import Integral
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

ARRAY_BASE = -23300
"""The array parameter `id` is written under the raw id `ARRAY_BASE - id`, its values after their count."""

MAX_PARAMS = 32
"""Plain ids run from 0 to `MAX_PARAMS - 1`."""

Value: TypeAlias = "int | float | str | Sequence[int] | Sequence[float]"
Decoded: TypeAlias = "int | float | str | tuple[int | float, ...]"

MAX_NUMBER_CHARS = 15
MAX_STRING_BYTES = 255
MAX_FRACTION_DIGITS = 9
PLAIN_FLOATS = (1e-4, 1e6)
"""pnnx writes floats of a magnitude within these without an exponent."""

_INT = re.compile(r"[+-]?\d+", re.ASCII)
_FLOAT = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d*)(?:\.(?P<fraction>\d*))?(?:[eE](?P<exponent>[+-]?\d{1,2}))?", re.ASCII
)


def plain_id(raw: int) -> int:
    """The parameter id of a raw one: array ids count down from `ARRAY_BASE`."""
    return ARRAY_BASE - raw if raw <= ARRAY_BASE else raw


def decode(raw: int, token: str) -> Decoded:
    """What ncnn takes from the text of the parameter with the id `raw`.

    Raises:
        ValueError: ncnn would fail on it, or take something else than it says.
    """
    if raw <= ARRAY_BASE:
        return _decode_array(token)
    if token[0] == '"':
        return _check_string(token[1:-1])
    if token[0].isalpha():
        return _check_word(token)
    values = tuple(map(_decode_number, token.split(",")))
    _check_unmixed(values)
    return values if len(values) > 1 else values[0]


def encode(key: int, value: Value) -> tuple[int, str]:
    """Raw id and text for a plain id and its value.

    Sequences become arrays, strings are quoted, floats keep their float32 value exactly.

    Raises:
        ValueError: There is no text from which ncnn would take this value.
    """
    if not 0 <= key < MAX_PARAMS:
        raise ValueError(f"ids run from 0 to {MAX_PARAMS - 1}")
    if isinstance(value, str):
        return key, f'"{_check_string(value)}"'
    if isinstance(value, (int, float)):
        return key, _encode_number(value)
    return ARRAY_BASE - key, _encode_array(value)


def _encode_array(values: Sequence[int | float]) -> str:
    if not values:
        raise ValueError("ncnn takes an empty array for an absent one")
    _check_unmixed(values)
    return ",".join([str(len(values)), *map(_encode_number, values)])


def _decode_array(token: str) -> tuple[int | float, ...]:
    count, *elements = token.split(",")
    if not _INT.fullmatch(count) or int(count) != len(elements):
        raise ValueError(f"the array announces {count} values and holds {len(elements)}")
    return tuple(map(_decode_number, elements))


def _decode_number(token: str) -> int | float:
    if len(token) > MAX_NUMBER_CHARS:
        raise ValueError(f"ncnn reads {MAX_NUMBER_CHARS} characters of a number")
    return _check_int32(int(token)) if _INT.fullmatch(token) else _decode_float(token)


def _decode_float(token: str) -> float:
    """Read decimals as ncnn does: 32-bit accumulators, the exponent applied in double precision."""
    match = _FLOAT.fullmatch(token)
    if match is None or not (match["whole"] or match["fraction"]):
        raise ValueError(f"{token!r} is no number")
    whole, fraction, exponent = int(match["whole"] or 0), match["fraction"] or "", int(match["exponent"] or 0)
    if whole >= 2**32 or len(fraction) > MAX_FRACTION_DIGITS:
        raise ValueError("ncnn's 32-bit digits overflow")
    value = whole + int(fraction or 0) / 10 ** len(fraction)
    scale = 1.0
    for step in [1e8] * (abs(exponent) // 8) + [10.0] * (abs(exponent) % 8):
        scale *= step
    value = value * scale if exponent >= 0 else value / scale
    return _single(-value if match["sign"] == "-" else value)


def _encode_number(value: float) -> str:
    return str(_check_int32(int(value))) if isinstance(value, Integral) else _encode_float(float(value))


def _encode_float(value: float) -> str:
    """Write six digits where they are exact, else nine; always with a point or exponent."""
    single = _single(value)
    smallest, limit = PLAIN_FLOATS
    plain = single == 0 or smallest <= abs(single) < limit
    texts = [f"{single:g}", f"{single:.9g}", f"{single:.8e}"] if plain else [f"{single:e}", f"{single:.8e}"]
    return next(text for text in map(_pointed, texts) if _reads_back(text, single))


def _pointed(text: str) -> str:
    """Keep a number a float for ncnn, and its exponent short: `1` -> `1.0`, `1e-05` -> `1e-5`."""
    mantissa, _, exponent = text.partition("e")
    if exponent:
        return f"{mantissa}e{int(exponent)}"
    return mantissa if "." in mantissa else f"{mantissa}.0"


def _reads_back(text: str, single: float) -> bool:
    try:
        return _decode_number(text) == single
    except ValueError:
        return False


def _single(value: float) -> float:
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        raise ValueError("beyond float32") from None
    if single - single != 0:
        raise ValueError("not finite")
    return single


def _check_int32(value: int) -> int:
    if not -(2**31) <= value < 2**31:
        raise ValueError("beyond int32")
    return value


def _check_unmixed(values: Sequence[int | float]) -> None:
    if len({isinstance(value, Integral) for value in values}) > 1:
        raise ValueError("integers and floats are mixed")


def _check_word(text: str) -> str:
    if text in ("inf", "nan"):
        raise ValueError("not finite, and a string to ncnn")
    return _check_string(text)


def _check_string(text: str) -> str:
    """Refuse what not every supported ncnn can read back.

    ncnn 1.0.20260114 scans the first 15 characters, an opening quote among them, up to a comma or a space, then the
    rest up to the closing quote. It cannot do without a rest where the first bite ended just before the quote, nor with
    nothing in front of a comma or a space.
    """
    first_bite = re.split(r"[, ]", text, maxsplit=1)[0]
    ends_before_quote = first_bite == text and len(text.encode()) == MAX_NUMBER_CHARS - 1
    if not first_bite or ends_before_quote or len(text.encode()) > MAX_STRING_BYTES:
        raise ValueError("ncnn cannot read this string")
    if re.search(r'["\n\r\t]', text):
        raise ValueError("quotes and line ends cannot be in a string")
    return text
