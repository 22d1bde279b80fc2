"""Checkpoints of `torch.save`, read without running what they hold."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import torch

from dwca_export.errors import InputRefusedError
from dwca_export.loading import trust
from dwca_export.loading.importing import importable
from dwca_export.loading.pickle_scan import PickleScan, scan
from dwca_export.loading.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from dwca_export.loading.source import Request

# Magic number, protocol, machine, the object, names of the storages; raw storages follow.
_LEGACY_PICKLES = 5


def read_checkpoint(request: Request, *, legacy: bool) -> Any:
    """Read what `torch.save` wrote.

    Args:
        request: The file, and what it may do.
        legacy: Whether the file is of the format of before torch 1.6 (consecutive pickles instead of a zip file).

    Returns:
        The object in it, tensors on the CPU.

    Raises:
        InputRefusedError: The file is damaged, or asks for more than `request` allows.
    """
    if request.trust_all:
        with importable():
            return _load(request.path, weights_only=False)
    found = _scan_legacy(request.path) if legacy else _scan_zip(request.path)
    allowed = trust.allow(found, request.path, request.trust)
    with torch.serialization.safe_globals(allowed):
        return _load(request.path, weights_only=True)


def _scan_zip(path: Path) -> PickleScan:
    try:
        # torch's own reader, so that scan and load see the same record whatever the zip file's tables say.
        content = torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")
    except RuntimeError as error:
        raise _damaged(error) from error
    return scan(io.BytesIO(content))


def _scan_legacy(path: Path) -> PickleScan:
    with path.open("rb") as file:
        scans = [scan(file) for _ in range(_LEGACY_PICKLES)]
    return PickleScan(
        named=frozenset().union(*(part.named for part in scans)),
        called=frozenset().union(*(part.called for part in scans)),
        opaque=any(part.opaque for part in scans),
    )


def _load(path: Path, *, weights_only: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about its own formats; what matters becomes an error or a note
            return torch.load(path, map_location="cpu", weights_only=weights_only)
    except (Exception, SystemExit) as error:  # whatever a damaged pickle leads to, or code that --trust-all runs
        raise _damaged(error) from error


def _damaged(error: BaseException) -> InputRefusedError:
    text = one_line(error)
    if "Unsupported operand" in str(error):
        return InputRefusedError(
            f"its pickle is not as torch.save writes it by default ({text})",
            hint="load it where it was made, and torch.save it again without pickle_protocol",
        )
    if isinstance(error, ImportError | AttributeError):
        return InputRefusedError(
            f"it needs code that is not here ({text})",
            hint="install the package, or run dwca-export in the folder from which training was started",
        )
    return InputRefusedError(f"the file is truncated or damaged ({text})", hint="copy or download it again")
