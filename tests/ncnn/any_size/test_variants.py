from __future__ import annotations

import pytest
from hand_made import graph

from dwca_export.errors import ConversionError
from dwca_export.ncnn.any_size.variants import Variants

SIZES = ((100, 80), (140, 120), (120, 160))


def variants(*lines, layers=None, **shapes):
    """Variants of the last line's layer; shapes of blobs are written as functions of height and width."""
    made = graph("Input -> in0", *lines)
    given = {blob: tuple(shape(*size) for size in SIZES) for blob, shape in shapes.items()}
    given["in0"] = tuple((3, *size) for size in SIZES)
    return Variants(made, layers or (made.layers[-1],) * len(SIZES), given)


def numbers(function):
    return tuple(function(*size) for size in SIZES)


def test_takes_the_nearest_blob_and_its_axis():
    found = variants(
        "TanH in0 -> a",
        "Pooling a -> b 0=0 1=2 2=2",
        "TanH b -> c",
        "Reshape c -> d",
        a=lambda h, w: (8, h, w),
        b=lambda h, w: (8, h // 2, w // 2),
        c=lambda h, w: (8, h // 2, w // 2),
    )
    assert found.find(numbers(lambda h, w: h)) == ("a", "h")
    assert found.find(numbers(lambda h, w: w // 2)) == ("c", "w")
    assert found.find(numbers(lambda h, w: h // 3)) is None


def test_looks_at_every_axis_of_every_rank():
    found = variants(
        "TanH in0 -> a",
        "TanH a -> b",
        "TanH b -> c",
        "Reshape c -> d",
        a=lambda h, w: (h + 1, h + 2, h + 3, h + 4),
        b=lambda h, w: (h + 5, h + 6),
        c=lambda h, w: (h + 7,),
    )
    places = [found.find(numbers(lambda h, w, more=more: h + more)) for more in range(1, 8)]
    assert places == [("a", "c"), ("a", "d"), ("a", "h"), ("a", "w"), ("b", "h"), ("b", "w"), ("c", "w")]


def test_expressions_name_the_layer_s_own_blob_first():
    found = variants("TanH in0 -> a", "Reshape a -> b", a=lambda h, w: (4, h // 2, w // 2))
    wanted = [numbers(lambda h, w: w), (7, 7, 7), numbers(lambda h, w: w // 2), numbers(lambda h, w: h)]
    assert found.expressions(wanted) == (["1w", "7", "0w", "1h"], ("a", "in0"))


def test_looks_at_no_blob_behind_or_beside():
    found = variants(
        "TanH in0 -> a",
        "Pooling in0 -> b 0=0 1=2 2=2",
        "Reshape a -> c",
        a=lambda h, w: (3, h, w),
        b=lambda h, w: (3, h // 2, w // 2),
    )
    with pytest.raises(ConversionError, match=r"layer c \(Reshape\).*50 / 70 / 60.*no blob"):
        found.expressions([numbers(lambda h, w: h // 2)])


def test_a_number_that_may_follow_height_or_width_is_refused():
    """80, 120, 160 wide and 100, 140, 120 high: (1, 2, 2) grows with both."""
    found = variants("TanH in0 -> a", "Reshape a -> b", a=lambda h, w: (3, 1 if h == 100 else 2, w))
    assert found.find((1, 2, 2)) == ("a", "h")
    with pytest.raises(ConversionError, match="1 / 2 / 2 may follow the height of the input or its width"):
        found.expressions([(1, 2, 2)])


def test_a_number_that_repeats_and_follows_one_is_not():
    found = variants("TanH in0 -> a", "Reshape a -> b", a=lambda h, w: (3, 1 if h < 140 else 2, w))
    assert found.expressions([(1, 2, 1)]) == (["0h"], ("a",))


def test_ten_blobs_and_no_more():
    """ncnn's expressions name a blob by one digit."""
    names = [f"b{index}" for index in range(11)]
    chain = [f"TanH {before} -> {name}" for before, name in zip(["in0", *names], names, strict=False)]
    shapes = {name: lambda h, w, more=index: (1, h + 1000 + more, w + 5) for index, name in enumerate(names)}
    found = variants(*chain, f"Reshape {names[-1]} -> out", **shapes)
    sizes = [numbers(lambda h, w, more=more: h + 1000 + more) for more in range(11)]
    assert len(found.expressions(sizes[1:])[1]) == 10
    with pytest.raises(ConversionError, match="sizes of 11 blobs"):
        found.expressions(sizes)


def test_require_holds_everything_else_equal():
    made = graph("Input -> in0", "Reshape in0 -> a 0=5 1=7 3=1")
    layer = made.layers[-1]

    def found(*others):
        return variants("Reshape in0 -> a 0=5 1=7 3=1", layers=(layer, *others))

    found(layer.with_params({0: 6}), layer.with_params({0: 7, 1: 8})).require(0, 1)
    for other in (layer.with_params({3: 0}), layer.without_params([3]), layer.with_params({2: 4})):
        with pytest.raises(ConversionError, match=r"generalise, layer a \(Reshape\)"):
            found(other, layer).require(0, 1)
    assert found(layer, layer).differ is False
    assert found(layer.with_params({0: 6}), layer).differ is True


def test_require_refuses_a_second_blob():
    found = variants("TanH in0 -> a", "Crop a in0 -> b", a=lambda h, w: (3, h, w))
    with pytest.raises(ConversionError, match="several blobs"):
        found.require(0)
