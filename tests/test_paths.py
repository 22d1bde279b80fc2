from __future__ import annotations

import os
from pathlib import Path

import pytest

from dwca_export.paths import path_fault


@pytest.mark.parametrize("path", ["net.pt", "grüne Äpfel 日本/✓.onnx", ""])
def test_names_in_any_language_are_taken(path):
    assert path_fault(Path(path)) == ""


@pytest.mark.parametrize("path", [b"a\xff.onnx", b"a\xff/net.onnx", "Äpfel".encode("latin-1")])
def test_other_bytes_are_a_fault(path):
    assert "not UTF-8" in path_fault(Path(os.fsdecode(path)))
