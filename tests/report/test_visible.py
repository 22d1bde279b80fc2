from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.report.visible import visible


@given(st.text())
def test_what_comes_out_can_be_printed_and_stored(text):
    assert visible(text).isprintable()
    visible(text).encode("utf-8")


@pytest.mark.parametrize("text", ["", "trunk.0[1]", "grün 日本 \U0001f600", 'a "b" \\ c'])
def test_printable_text_stays(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"), [("\x1b[2J", r"\x1b[2J"), ("a\nb", r"a\nb"), ("\udcff", r"\udcff"), ("\u202e", r"\u202e")]
)
def test_the_rest_is_escaped(text, shown):
    assert visible(text) == shown
