"""Take trained networks with DWCA blocks to ncnn and prove that they still compute the same numbers.

The names below are imported when they are first used: a device has no torch, and `--help` has no time for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwca_export.block import DWCABlock
    from dwca_export.errors import ConversionError, DwcaExportError, InputRefusedError, ParityError, UsageError
    from dwca_export.pipeline import Export, export
    from dwca_export.request import ExportRequest
    from dwca_export.runners.bundle import open_bundle

__version__ = "0.1.0"

__all__ = [
    "ConversionError",
    "DWCABlock",
    "DwcaExportError",
    "Export",
    "ExportRequest",
    "InputRefusedError",
    "ParityError",
    "UsageError",
    "export",
    "open_bundle",
]

_HOMES = {
    "DWCABlock": "block",
    "Export": "pipeline",
    "ExportRequest": "request",
    "export": "pipeline",
    "open_bundle": "runners.bundle",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
