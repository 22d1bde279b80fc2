from __future__ import annotations

import math
import os
import struct

import ncnn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwca_export.ncnn.values import ARRAY_BASE, decode, encode

floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
ints32 = st.integers(-(2**31), 2**31 - 1)


def bits(value):
    return struct.pack("<f", value)


def ncnn_reads(tmp_path, tokens):
    """The float32 values that ncnn itself takes from these texts, as factors of ones."""
    tops = [f"x{i}" for i in range(len(tokens))]
    lines = ["Input in0 0 1 in0", f"Split split 1 {len(tops)} in0 {' '.join(tops)}"]
    lines += [f"BinaryOp mul{i} 1 1 x{i} y{i} 0=2 1=1 2={token}" for i, token in enumerate(tokens)]
    path = tmp_path / "factors.param"
    path.write_text(f"7767517\n{len(lines)} {2 * len(tops) + 1}\n" + "\n".join(lines) + "\n")
    net = ncnn.Net()
    net.opt.use_fp16_storage = net.opt.use_fp16_packed = net.opt.use_fp16_arithmetic = False
    assert net.load_param(str(path)) == 0
    assert net.load_model(os.devnull) == 0
    ones = np.ones(4, np.float32)
    extractor = net.create_extractor()
    # A clone owns its memory; layers that work in place crash on a view of numpy's.
    assert extractor.input("in0", ncnn.Mat(ones).clone()) == 0
    return [float(np.array(extractor.extract(f"y{i}")[1])[0]) for i in range(len(tokens))]


@given(floats32)
def test_floats_keep_every_bit_of_float32(value):
    key, token = encode(2, value)
    assert key == 2
    assert "." in token or "e" in token
    assert len(token) <= 15
    assert bits(decode(key, token)) == bits(value)


@given(ints32)
def test_integers_stay_integers(value):
    decoded = decode(*encode(0, value))
    assert type(decoded) is int
    assert decoded == value


@given(st.lists(floats32, min_size=1) | st.lists(ints32, min_size=1))
def test_arrays_carry_their_count(values):
    raw, token = encode(10, values)
    assert raw == ARRAY_BASE - 10
    assert token.startswith(f"{len(values)},")
    assert decode(raw, token) == tuple(values)


@settings(max_examples=300)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_strings_come_back_or_are_refused(text):
    try:
        key, token = encode(6, text)
    except ValueError:
        return
    assert token == f'"{text}"'
    assert decode(key, token) == text


@pytest.mark.parametrize("text", ["0w,-1", "0w,1h,1c", "*(0w,2),+(1h,1)", "abcdefghijklm", "abcdefghijklmno", "0w, 1h"])
def test_expressions_are_strings(text):
    assert decode(*encode(6, text)) == text


@pytest.mark.parametrize("text", ["", "abcdefghijklmn", ",0w", " 0w", 'a"b', "a\nb", "x" * 256])
def test_strings_that_an_ncnn_misreads_are_refused(text):
    with pytest.raises(ValueError, match="string"):
        encode(6, text)


def test_numpy_scalars_are_numbers():
    assert encode(1, [np.int64(3), np.int64(-4)]) == (-23301, "2,3,-4")
    assert encode(1, np.float64(0.5)) == (1, "0.5")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-5, "1.000000e-5"),
        (1 / 6, "0.166666672"),
        (0.1, "0.1"),
        (6.0, "6.0"),
        (1e6, "1.000000e6"),
        (1.1920929e-7, "1.19209290e-7"),
        (-0.3, "-0.3"),
        (0.0, "0.0"),
        (3.4028234663852886e38, "3.40282347e38"),
    ],
)
def test_floats_look_as_pnnx_writes_them(value, text):
    assert encode(1, value) == (1, text)


def test_ncnn_reads_the_floats_that_we_write(tmp_path):
    generator = np.random.default_rng(0)
    every_size = generator.integers(0x00800000, 0x7F800000, 200, np.uint32).view(np.float32)
    usual = generator.standard_normal(200).astype(np.float32)
    values = [float(value) for value in np.concatenate([every_size, -usual])]
    assert list(map(bits, ncnn_reads(tmp_path, [encode(2, value)[1] for value in values]))) == list(map(bits, values))


def test_we_read_floats_as_ncnn_does(tmp_path):
    tokens = [
        "1.000000e-5",
        "0.166666672",
        ".5",
        "5.",
        "-2.5E+3",
        "+1e2",
        "4294967295.0",
        "0.123456789",
        "1.5e-30",
        "3e38",
    ]
    assert [bits(decode(2, token)) for token in tokens] == list(map(bits, ncnn_reads(tmp_path, tokens)))


def test_arrays_without_a_count_are_read_too():
    assert decode(3, "1,2,3") == (1, 2, 3)
    assert decode(3, "0.5,1.0") == (0.5, 1.0)
    assert decode(-23303, "0") == ()


@pytest.mark.parametrize(
    ("raw", "token"),
    [
        (0, "1x"),
        (0, "-"),
        (0, "1.2.3"),
        (0, "inf"),  # a word to ncnn, not a number
        (0, "nan"),
        (0, "0x10"),
        (0, "2147483648"),
        (0, "1e39"),
        (0, "1e400"),
        (0, "4294967296.0"),  # ncnn's 32-bit digits wrap
        (0, "0.1234567890"),
        (0, "0.1666666666666667"),  # ncnn cuts numbers after 15 characters
        (0, "1,0.5"),
        (0, "1,"),
        (0, "-inf"),
        (-23303, "2,56"),
        (-23303, "1,56,48"),
        (-23303, "x,1"),
        (-23303, "2,,1"),
        (-23303, "1,e5"),
        (-23303, '1,"a"'),
    ],
)
def test_what_ncnn_would_misread_is_refused(raw, token):
    with pytest.raises(ValueError, match=r"\w"):
        decode(raw, token)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e39, 2**31, [], [1, 0.5], [1, 2**31], [math.nan]])
def test_what_has_no_text_is_refused(value):
    with pytest.raises(ValueError, match=r"\w"):
        encode(0, value)


@pytest.mark.parametrize("key", [-1, 32, -23300])
def test_ids_are_plain_and_below_32(key):
    with pytest.raises(ValueError, match="ids run"):
        encode(key, 1)
