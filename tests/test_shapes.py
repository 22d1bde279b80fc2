from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.errors import UsageError
from dwca_export.shapes import MAX_ELEMENTS, parse_shape, shape_fault


def test_a_shape_is_read() -> None:
    assert parse_shape("1x3x224x160") == (1, 3, 224, 160)


def test_capitals_and_outer_spaces_do_not_matter() -> None:
    assert parse_shape(" 1X3x32X32 ") == (1, 3, 32, 32)


@given(st.lists(st.integers(1, 64), min_size=2, max_size=5))
def test_what_is_written_is_read(shape: list[int]) -> None:
    assert parse_shape("x".join(map(str, shape))) == tuple(shape)


@given(st.text(max_size=20))
def test_any_text_is_a_shape_or_a_usage_error(text: str) -> None:
    try:
        shape = parse_shape(text)
    except UsageError as error:
        assert "1x3x224x224" in error.hint  # noqa: PT017 - either outcome is right, and each is checked
    else:
        assert shape_fault(shape) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1x",
        "x3",
        "1xx3",
        "axb",
        "1,3,224,224",
        "1 x 3",
        "1x3x-1x4",
        "1.0x3",
        "+1x3",
        "1x²",
        "\u0661x\u0663",
        "224",
    ],
)
def test_nonsense_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_shape(text)
    assert "1x3x224x224" in caught.value.hint


@pytest.mark.parametrize("text", ["0x3x4x4", "1x3x0x4"])
def test_a_dimension_of_zero_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="below 1"):
        parse_shape(text)


@pytest.mark.parametrize("text", ["2x3x100000x100000", "1x" + "9" * 5000])
def test_an_absurdly_large_shape_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="more than"):
        parse_shape(text)


def test_the_largest_shape_is_allowed() -> None:
    side = math.isqrt(MAX_ELEMENTS // 2)
    assert parse_shape(f"2x{side}x{side}") == (2, side, side)
    with pytest.raises(UsageError):
        parse_shape(f"2x{side}x{side + 1}")
