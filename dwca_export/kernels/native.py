"""The native library, and what is to be said where there is none."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dwca_export.errors import InputRefusedError

if TYPE_CHECKING:
    from types import ModuleType


class UnavailableError(InputRefusedError):
    """This machine, or this combination, has no such kernel."""


@cache
def _load() -> ModuleType | str:
    try:
        return importlib.import_module("dwca_export.kernels._native")
    except ImportError as error:
        return str(error)


def native() -> ModuleType:
    """The library.

    Raises:
        UnavailableError: There is none.
    """
    loaded = _load()
    if isinstance(loaded, str):
        raise UnavailableError(
            f"the native kernels are missing ({loaded})",
            where="dwca_export.kernels",
            hint="install a wheel for this machine, or install dwca-export where a C++ compiler is at hand",
        )
    return loaded


def missing() -> str | None:
    """Why there are no native kernels and what to do; None if there are."""
    try:
        native()
    except UnavailableError as error:
        return f"{error.what}: {error.hint}"
    return None


def include_dir() -> Path:
    """The folder for a C++ compiler's -I: `#include <dwca/kernels.h>`."""
    return Path(__file__).with_name("include")


def isas() -> tuple[str, ...]:
    """The instruction sets that this CPU can run, from `scalar` to the best; none without the native library."""
    return () if missing() else tuple(native().isas())


def require_isa(name: str | None) -> str:
    """Raises `UnavailableError` for one that is not here; the best for None."""
    known = native().isas()
    if name is None:
        return str(known[-1])
    if name not in known:
        raise UnavailableError(f"{name!r} is not available here", where="isa", hint=f"this CPU has {', '.join(known)}")
    return name


def peak_multiply_adds(isa: str | None = None, seconds: float = 0.05) -> float:
    """Multiply-adds per second of one core, on registers alone, in fp32.

    Raises:
        UnavailableError: No native library, or no such instruction set here.
    """
    return float(native().peak_multiply_adds(require_isa(isa), seconds))


def bandwidth(bytes_: int, seconds: float = 0.05, isa: str | None = None) -> float:
    """Bytes per second that one core reads and writes, copying half of `bytes_` to the other half.

    Raises:
        UnavailableError: No native library, or no such instruction set here.
    """
    return float(native().bandwidth(require_isa(isa), bytes_, seconds))
