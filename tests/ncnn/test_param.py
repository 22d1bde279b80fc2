from __future__ import annotations

from dataclasses import replace

import ncnn
import pytest
from converted_nets import NAMES
from hypothesis import given, settings
from hypothesis import strategies as st

from dwca_export.errors import ConversionError
from dwca_export.ncnn.param import Layer, Param
from dwca_export.ncnn.values import decode, encode

SMALL = """7767517
5 6
Input                    in0                      0 1 in0
Split                    split                    1 2 in0 a b
Convolution              conv                     1 1 a c 0=8 1=3 6=216 -23310=2,0.166666672,0.5 9=6
Crop                     crop                     2 1 c b out0 19="0" 20="1h" 21="1" -23309=1,-233 2=1.000000e-5
Noop                     last                     0 1 out1
"""


def edited(old, new, text=SMALL):
    assert old in text
    return text.replace(old, new)


def layer_of(text=SMALL, name="conv"):
    return next(layer for layer in Param.parse(text).layers if layer.name == name)


# What pnnx writes


@pytest.mark.parametrize("name", NAMES)
def test_pnnx_params_come_back_byte_for_byte(converted, name):
    assert Param.parse(converted(name).param).text() == converted(name).param


@pytest.mark.parametrize("name", NAMES)
def test_we_format_values_as_pnnx_does(converted, name):
    for layer in Param.parse(converted(name).param).layers:
        for raw, token in layer.params.items():
            value = decode(raw, token)
            if value != () and token[0] != '"':
                assert encode(raw if raw >= 0 else -23300 - raw, value) == (raw, token)


def test_ends_of_a_real_network(converted):
    param = Param.parse(converted("strip_attention").param)
    assert param.inputs == ("in0",)
    assert param.outputs == ("out0",)
    assert param.blobs[0] == "in0"
    assert param.producer("out0") == param.layers[-1]
    assert [layer.type for layer in param.consumers("in0")] == ["Convolution"]
    assert param.consumers("out0") == ()
    assert param.producer("nowhere") is None


# Reading


def test_fields():
    param = Param.parse(SMALL)
    assert param.text() == SMALL
    assert param.layers[3] == Layer(
        "Crop",
        "crop",
        ("c", "b"),
        ("out0",),
        {19: '"0"', 20: '"1h"', 21: '"1"', -23309: "1,-233", 2: "1.000000e-5"},
    )
    assert param.outputs == ("out0", "out1")
    assert hash(param) == hash(Param.parse(SMALL))


def test_accessors():
    conv, crop = layer_of(), layer_of(name="crop")
    assert conv.int(0) == 8
    assert conv.int(5, 1) == 1
    assert conv.floats(10) == (pytest.approx(1 / 6), 0.5)
    assert conv.floats(11, [1]) == (1.0,)
    assert crop.string(20) == "1h"
    assert crop.string(22, "none") == "none"
    assert crop.ints(9) == (-233,)
    assert crop.ints(10, ()) == ()
    assert crop.float(2) == pytest.approx(1e-5)
    assert crop.float(3, 1) == 1.0
    assert crop.has(9)
    assert crop.has(19)
    assert not crop.has(3)


def test_integer_zero_is_a_float_too():
    assert layer_of(edited(" 9=6", " 9=0")).float(9) == 0.0


@pytest.mark.parametrize(
    "ask",
    [
        lambda layer: layer.int(2),
        lambda layer: layer.int(10),
        lambda layer: layer.float(9),  # ncnn would take the bits of the integer
        lambda layer: layer.ints(10),
        lambda layer: layer.ints(0),
        lambda layer: layer.floats(0, ()),
        lambda layer: layer.string(0),
        lambda layer: layer.float(3),
        lambda layer: layer.string(3),
        lambda layer: layer.ints(3),
    ],
)
def test_accessors_refuse_what_is_missing_or_of_another_kind(ask):
    with pytest.raises(ConversionError, match=r"layer conv \(Convolution\): parameter \d+"):
        ask(layer_of())


@pytest.mark.parametrize(
    "text",
    [
        edited("Input                    in0                      0 1 in0", "Input in0 0 1 in0"),
        edited("0=8 1=3", " 0=8\t1=3  "),
        edited("\n", "\r\n"),
        edited("5 6\n", "5 6\n\n"),
        SMALL + "\n\n",
    ],
)
def test_other_white_space_is_no_error(text):
    assert Param.parse(text).text() == SMALL


def test_odd_names_are_left_alone():
    text = "7767517\n2 2\n"
    text += "Input                    in#0                     0 1 0=1\n"
    # C pads by bytes, as pnnx does.
    text += "ReLU                     größe/a.b:0            1 1 0=1 -23300=2 0=0.1\n"
    param = Param.parse(text)
    assert param.text() == text
    assert param.layers[1].bottoms == ("0=1",)
    assert param.outputs == ("-23300=2",)


def test_text_in_quotes_may_hold_spaces():
    text = edited('20="1h"', '20="+(1h, 2)"')
    assert layer_of(text, "crop").string(20) == "+(1h, 2)"
    assert Param.parse(text).text() == text


# Refusing


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "7767517"),
        ("7767517\n", "no layer"),
        (edited("7767517", "7767518"), "7767517"),
        (edited("7767517\n", ""), "7767517"),
        (edited("5 6\n", "4 6\n"), "header"),
        (edited("5 6\n", "5 7\n"), "header"),
        (edited("5 6\n", "5\n"), "header"),
        (edited("5 6\n", "x 6\n"), "header"),
        ("7767517\n0 0\n", "no layer"),
        (SMALL[:-1], "cut off"),
        (edited("0 1 out1", "0 1"), "layer last .*cut off"),
        (edited("0 1 out1", "0"), "last"),
        (edited("0 1 out1", "0 x out1"), "last"),
        (edited("0 1 out1", "0 -1 out1"), "last"),
        (edited("0 1 out1", "0 99999999999999999999 out1"), "last"),
        (edited("1 2 in0 a b", "1 3 in0 a b"), "layer split .*cut off"),
        (edited("1 2 in0 a b", "1 1 in0 a b"), "layer split .*'b'"),
        (edited("0=8", "x=8"), "layer conv .*'x'"),
        (edited("0=8", "=8"), "layer conv .*''"),
        (edited("0=8", "0x=8"), "layer conv .*'0x'"),
        (edited("0=8", "00=8"), "layer conv .*'00'"),
        (edited("0=8", "32=8"), "layer conv .*'32'"),
        (edited("0=8", "-1=8"), "layer conv .*'-1'"),
        (edited("0=8", "-23332=1,8"), "layer conv .*'-23332'"),
        (edited("0=8", "0"), "layer conv .*'0 1=3"),
        (edited("0=8", "0= 8"), "layer conv .*'0= 8"),
        (edited("0=8", "0=8=9"), "layer conv .*8=9"),
        (edited("0=8", "1=8"), "layer conv .*1 is given twice"),
        (edited("0=8", "10=0"), "layer conv .*10 is given twice"),
        (edited("-23310=2,", "-23310=3,"), "layer conv .*announces 3"),
        (edited('19="0"', '19="0'), "layer crop .*19="),
        (edited("2=1.000000e-5", "2=0.00001000000000001"), "layer crop .*2=0.0000"),
        (edited("1 1 a c", "1 1 nowhere c"), "layer conv .*blob nowhere is unknown"),
        (edited("1 1 a c", "1 1 out1 c"), "layer conv .*blob out1 is read before"),
        (edited("1 1 a c", "1 1 in0 c"), "layer conv .*blob in0 is read a second time, after split"),
        (edited("2 1 c b", "2 1 c c"), "layer crop .*blob c is read a second time, after crop"),
        (edited("0 1 out1", "0 1 c").replace("5 6", "5 5"), "layer last .*blob c is written a second time"),
        (edited("1 2 in0 a b", "1 2 in0 a a"), "layer split .*blob a is written a second time"),
        (edited("Noop                     last", "Noop                     conv"), "layer conv .*same name"),
        (edited("Noop ", "2Noop"), "layer last .*letter"),
        (edited("Noop ", "N" * 256 + " "), "layer last .*cannot be a name"),
    ],
)
def test_broken_params_are_refused(text, named):
    with pytest.raises(ConversionError, match=named):
        Param.parse(text)


@given(st.integers(0, len(SMALL) - 1))
def test_no_beginning_of_a_param_is_a_param(length):
    with pytest.raises(ConversionError):
        Param.parse(SMALL[:length])


def test_check_sees_names_that_cannot_be_written():
    layers = Param.parse(SMALL).layers
    for name in ("", "two words", "line\nend"):
        broken = Param((replace(layers[0], name=name), *layers[1:]))
        with pytest.raises(ConversionError, match="cannot be a name"):
            broken.check()


# Changing


def test_with_params_keeps_places_and_appends():
    layer = layer_of().with_params({9: 0, 10: [0.25], 0: 16, 1: "2w", 20: "0w,1", 2: 1e-5})
    assert list(layer.params.items()) == [
        (0, "16"),
        (1, '"2w"'),
        (6, "216"),
        (-23310, "1,0.25"),
        (9, "0"),
        (20, '"0w,1"'),
        (2, "1.000000e-5"),
    ]
    assert layer_of().params[0] == "8"


def test_a_scalar_replaces_an_array_and_the_other_way_round():
    layer = layer_of().with_params({10: 1}).with_params({0: (1, 2)})
    assert layer.params == {-23300: "2,1,2", 1: "3", 6: "216", 10: "1", 9: "6"}


def test_without_params():
    assert layer_of().without_params([10, 9, 30]).params == {0: "8", 1: "3", 6: "216"}


@pytest.mark.parametrize("values", [{0: float("inf")}, {32: 1}, {0: []}, {0: 2**31}, {0: 'a"b'}])
def test_with_params_refuses_what_ncnn_could_not_read(values):
    with pytest.raises(ConversionError, match=r"layer conv \(Convolution\): parameter \d+ cannot be"):
        layer_of().with_params(values)


def test_ncnn_loads_what_we_write(tmp_path):
    text = "7767517\n2 2\nInput in0 0 1 in0\nCrop crop 1 1 in0 out0\n"
    param = Param.parse(text)
    crop = param.layers[1].with_params({19: "0", 20: "0w", 21: "1"})
    written = tmp_path / "net.param"
    written.write_text(replace(param, layers=(param.layers[0], crop)).text())
    net = ncnn.Net()
    assert net.load_param(str(written)) == 0
    assert net.input_names() == ["in0"]
    assert net.output_names() == ["out0"]


# Any param

names = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_characters="\x7f\x85\xa0"), min_size=1)
values = (
    st.integers(-(2**31), 2**31 - 1)
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.lists(st.integers(-233, 4096), min_size=1, max_size=5)
    | st.sampled_from(["0w,1h", "+(0w,1)", "0", "1h"])
)


@st.composite
def params(draw):
    """A graph where each layer reads some of the blobs that are still unread."""
    layer_names = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    blob_names = iter(draw(st.lists(names, min_size=24, max_size=24, unique=True)))
    unread, layers = [], []
    for name in layer_names:
        n_bottoms = draw(st.integers(0, len(unread)))
        bottoms, unread = unread[:n_bottoms], unread[n_bottoms:]
        tops = [next(blob_names) for _ in range(draw(st.integers(1, 3)))]
        unread += tops
        layer = Layer(f"T{draw(names)}", name, tuple(bottoms), tuple(tops))
        layers.append(layer.with_params(draw(st.dictionaries(st.integers(0, 31), values, max_size=5))))
    return Param(tuple(layers))


@settings(max_examples=200)
@given(params())
def test_any_param_comes_back(param):
    again = Param.parse(param.text())
    assert again == param
    assert [list(layer.params) for layer in again.layers] == [list(layer.params) for layer in param.layers]
    assert set(again.outputs) == {blob for blob in param.blobs if not param.consumers(blob)}


def test_splits_may_share_a_name_as_pnnx_writes_them() -> None:
    lines = ["Input in0 0 1 in0", "Split s 1 2 in0 a b", "Split s 1 2 a c d", "Concat out 3 1 b c d out0"]
    param = Param.parse("7767517\n4 6\n" + "".join(f"{line}\n" for line in lines))
    assert [layer.name for layer in param.layers].count("s") == 2
