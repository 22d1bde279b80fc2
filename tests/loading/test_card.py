from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dwca_export.errors import InputRefusedError
from dwca_export.loading.card import read_card

if TYPE_CHECKING:
    from pathlib import Path

SHA256 = "ab" * 32


def test_no_card_is_an_empty_card(tmp_path: Path) -> None:
    assert read_card(tmp_path / "net.pt", SHA256) == {}


def test_the_card_of_this_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "mein netz ü.v2.card.json").write_text(f'{{"sha256": "{SHA256.upper()}", "top1": 0.9}}')
    assert read_card(tmp_path / "mein netz ü.v2.pt", SHA256)["top1"] == 0.9


def test_a_card_without_hash_is_taken(tmp_path: Path) -> None:
    (tmp_path / "net.card.json").write_text('{"name": "größe"}', encoding="utf-8")
    assert read_card(tmp_path / "net.pt", SHA256) == {"name": "größe"}


def test_the_card_of_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.card.json").write_text(f'{{"sha256": "{"cd" * 32}"}}')
    with pytest.raises(InputRefusedError, match="belongs to another file"):
        read_card(tmp_path / "net.pt", SHA256)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"\xff\xfe"])
def test_a_broken_card_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.card.json").write_bytes(content)
    with pytest.raises(InputRefusedError, match=r"net\.card\.json"):
        read_card(tmp_path / "net.pt", SHA256)
