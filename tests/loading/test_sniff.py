from __future__ import annotations

import json
import os
import pickle
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dwca_export.errors import InputRefusedError
from dwca_export.loading.sniff import FileKind, sniff

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = onnx.helper.make_model(
    onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, [1, 2])],
        [onnx.helper.make_tensor_value_info("y", 1, [1, 2])],
    )
)


def write(kind: FileKind, file: Path) -> None:
    network = nn.Linear(2, 2)
    if kind == "pickle":
        torch.save(network.state_dict(), file)
    elif kind == "legacy_pickle":
        torch.save(network.state_dict(), file, _use_new_zipfile_serialization=False)
    elif kind == "torchscript":
        torch.jit.trace(network, torch.zeros(1, 2)).save(str(file))
    elif kind == "pt2":
        with file.open("wb") as stream:
            torch.export.save(torch.export.export(network, (torch.zeros(1, 2),)), stream)
    elif kind == "onnx":
        onnx.save(IDENTITY, str(file))
    else:
        header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["pickle", "legacy_pickle", "torchscript", "pt2", "onnx", "safetensors"])
@pytest.mark.parametrize("name", ["net.pt", "mein Netz ü.onnx", "net"])
def test_the_kind_is_found_by_content(tmp_path: Path, kind: FileKind, name: str) -> None:
    file = tmp_path / name
    write(kind, file)
    assert sniff(file) == kind


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_legacy_files_of_any_protocol_are_known(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "net.pt"
    torch.save({}, file, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    assert sniff(file) == "legacy_pickle"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"just some text\n", "a text file"),
        ("# Überschrift ü\n".encode() * 40, "a text file"),
        (b"import torch\n" * 100, "a text file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"\x1c\0\0\0TFL3" + bytes(100), "TensorFlow Lite"),
        (b"\x1c\0\0\0PTMF" + bytes(100), "flatbuffer"),
        (b"7767517\n3 3\nInput in0 0 1 in0\n", "ncnn param"),
        (bytes(range(256)), "not a model file"),
        (bytes(600), "not a model file"),
        (pickle.dumps({"w": 1}, 4), "a plain pickle"),
        (pickle.dumps({"w": 1}, 2), "a plain pickle"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_other_files_are_refused_with_what_they_are(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "net.pt"
    file.write_bytes(content)
    with pytest.raises(InputRefusedError, match=what):
        sniff(file)


def test_other_zip_files_are_refused_with_what_they_hold(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    np.savez(tmp_path / "net.npz", weights=np.ones(2))
    (tmp_path / "net.npz").rename(file)
    with pytest.raises(InputRefusedError, match=r"weights\.npy"):
        sniff(file)


def test_an_exported_program_of_the_first_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.pt2"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(InputRefusedError, match=r"torch 2\.7 or older"):
        sniff(file)


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    torch.save(nn.Linear(9, 9).state_dict(), file)
    whole = file.read_bytes()
    for part in range(1, 10):
        file.write_bytes(whole[: len(whole) * part // 10])
        with pytest.raises(InputRefusedError, match="truncated"):
            sniff(file)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "there.pt")
    with pytest.raises(InputRefusedError, match="folder"):
        sniff(tmp_path)
    with pytest.raises(InputRefusedError, match="no such file") as caught:
        sniff(tmp_path / "not there.pt")
    assert "there.pt" in caught.value.hint
    with pytest.raises(InputRefusedError) as caught:
        sniff(tmp_path / "nor" / "this.pt")
    assert "no folder" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    file.write_bytes(b"x")
    file.chmod(0)
    with pytest.raises(InputRefusedError, match="cannot be read"):
        sniff(file)


@given(st.binary(min_size=1, max_size=600))
def test_any_content_has_a_kind_or_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.pt"
    file.write_bytes(content)
    try:
        kind = sniff(file)
    except InputRefusedError as error:
        assert error.what  # noqa: PT017 - either outcome is right
    else:
        assert kind in {"onnx", "safetensors", "legacy_pickle"}
