from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dwca_export.loading.text import one_line, printable


@given(st.text())
def test_whatever_comes_is_one_printable_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert one_line(ValueError(text)).isprintable()


def test_ordinary_text_stays_as_it_is() -> None:
    assert printable("größe/netz.pt") == "größe/netz.pt"
    assert printable("x" * 1000).endswith("...")
    assert one_line(ValueError("first\nsecond")) == "ValueError: first"
    assert one_line(KeyError()) == "KeyError"
