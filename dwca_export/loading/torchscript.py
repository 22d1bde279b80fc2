"""TorchScript archives of `torch.jit.save`.

`torch.jit.load` unpickles in C++, without Python's classes and functions. What remains is that TorchScript is itself a
program, with operators that write files (`torch.save`), map them (`torch.from_file`) or call other machines (rpc).
An archive whose code has one of these words anywhere is refused.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import torch

from dwca_export.errors import InputRefusedError
from dwca_export.loading.numbers import check_numbers, to_float32
from dwca_export.loading.source import Source
from dwca_export.loading.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from dwca_export.loading.source import Request

_HARMFUL = re.compile(rb"\b(save|from_file|load_tensor|rpc_(?:a?sync|remote))\b")


def read_torchscript(request: Request) -> Source:
    """Load a TorchScript archive onto the CPU.

    Args:
        request: The file, and what it may do.

    Returns:
        A `torch.jit.ScriptModule`.

    Raises:
        InputRefusedError: The file is damaged, may touch files or the network, or has weights that are not finite.
    """
    try:
        if not request.trust_all:
            _check_code(request.path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated; it is what the user has
            module = torch.jit.load(str(request.path), map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise InputRefusedError(
            f"the file is truncated or damaged ({one_line(error)})", hint="copy or download it again"
        ) from error
    check_numbers(module.named_parameters(), module.named_buffers())
    return Source(module, "torchscript", notes=tuple(to_float32(module)))


def _check_code(path: Path) -> None:
    archive = torch._C.PyTorchFileReader(str(path))
    for record in archive.get_all_records():
        if not record.startswith("code/") or not record.endswith(".py"):
            continue
        if found := _HARMFUL.search(archive.get_record(record)):
            raise InputRefusedError(
                f"its code uses {found[1].decode()!r}, by which TorchScript reaches files or other machines",
                hint="rename it if it is a name of your own; --trust-all loads it all the same, for a file you made",
            )
