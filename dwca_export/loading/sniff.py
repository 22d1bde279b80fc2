"""Which kind of model file this is, by its content; the name does not matter."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING, Literal

from dwca_export.errors import InputRefusedError
from dwca_export.loading.text import one_line, printable

if TYPE_CHECKING:
    from pathlib import Path

FileKind = Literal["pickle", "legacy_pickle", "torchscript", "pt2", "onnx", "safetensors"]

_HEAD_BYTES = 512
_EXPECTED = (
    "expected: a checkpoint of torch.save (state dict or module), TorchScript, torch.export .pt2, .onnx or .safetensors"
)
# The first pickle of a file that torch.save wrote before torch 1.6: protocol, perhaps a frame, LONG1 of ten bytes,
# torch's magic number.
_MAGIC = re.escape(0x1950A86A20F9469CFC6C.to_bytes(10, "little"))
_LEGACY = re.compile(rb"\x80[\x02-\x05](?:\x95.{8})?\x8a\x0a" + _MAGIC, re.DOTALL)
# ONNX's ModelProto: field 1, ir_version (3 and up), then the tag of one of its other fields.
_ONNX = re.compile(rb"\x08[\x03-\x1f][\x12\x1a\x22\x28\x32\x3a\x42\x72]")

_FOREIGN = (
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer, not the file it points to", "run: git lfs pull"),
    (re.compile(rb"\x89HDF"), "an HDF5 file (Keras?)", _EXPECTED),
    (re.compile(rb"....TFL3", re.DOTALL), "a TensorFlow Lite model", _EXPECTED),
    (re.compile(rb"....PTMF", re.DOTALL), "a TorchScript flatbuffer for mobile", "save it with torch.jit.save"),
    (re.compile(rb"\s*7767517\s"), "an ncnn param: it is converted already", _EXPECTED),
    (re.compile(rb"GGUF"), "a GGUF file", _EXPECTED),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar file (torch 0.1 checkpoint?)", "load it and torch.save it again"),
    (re.compile(rb"\x80[\x00-\x05]"), "a plain pickle that torch.save did not write", "torch.save it again"),
)


def sniff(path: Path) -> FileKind:
    """Find the kind of a model file.

    Args:
        path: The file.

    Returns:
        Its kind. That the file is whole and sound is for its reader to find out.

    Raises:
        InputRefusedError: There is no readable file there, or it is no model file that can be loaded.
    """
    head = _head(path)
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(path)
    if _LEGACY.match(head):
        return "legacy_pickle"
    if _is_safetensors(head, path.stat().st_size):
        return "safetensors"
    if _ONNX.match(head) or path.suffix.lower() == ".onnx":
        return "onnx"
    raise _unknown(head)


def _head(path: Path) -> bytes:
    if not path.exists():
        raise InputRefusedError("there is no such file", hint=_nearby(path))
    if path.is_dir():
        raise InputRefusedError("this is a folder", hint=f"name the model file itself; {_EXPECTED}")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputRefusedError(f"the file cannot be read ({error.strerror})") from error
    if not head:
        raise InputRefusedError("the file is empty", hint="copy or download it again")
    return head


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {printable(str(path.parent))} either"
    models = (".pt", ".pth", ".pt2", ".onnx", ".ckpt", ".safetensors", ".ts")
    names = sorted(file.name for file in path.parent.iterdir() if file.suffix in models)
    return "model files in that folder: " + ", ".join(map(printable, names[:10])) if names else ""


def _sniff_zip(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise InputRefusedError(
            f"the file is truncated or damaged ({one_line(error)})", hint="copy or download it again"
        ) from error
    # torch puts everything below one folder, named after the file.
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return "torchscript"
    if "archive_format" in inner:
        return "pt2"
    if "data.pkl" in inner:
        return "pickle"
    if "serialized_exported_program.json" in names:
        raise InputRefusedError("this .pt2 is of torch 2.7 or older", hint="export it again with a newer torch")
    held = ", ".join(map(printable, sorted(names)[:5]))
    raise InputRefusedError(f"this zip file is none that torch writes (it holds {held})", hint=_EXPECTED)


def _is_safetensors(head: bytes, size: int) -> bool:
    header_bytes = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 0 < header_bytes <= size - 8


def _unknown(head: bytes) -> InputRefusedError:
    for pattern, what, hint in _FOREIGN:
        if pattern.match(head):
            return InputRefusedError(f"this is {what}", hint=hint)
    what = "this is a text file, not a model" if _is_text(head) else "this is not a model file"
    return InputRefusedError(what, hint=_EXPECTED)


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")
    return b"\0" not in head and len(text.encode()) > len(head) - 4
