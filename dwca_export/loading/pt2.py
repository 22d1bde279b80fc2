"""Exported programs of `torch.export.save` (`.pt2`), loaded only after `pt2_audit` found nothing in them that runs."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import torch
from torch.export.pt2_archive._package import load_pt2

from dwca_export.errors import InputRefusedError
from dwca_export.loading.numbers import check_numbers
from dwca_export.loading.pt2_audit import audit
from dwca_export.loading.source import Source
from dwca_export.loading.text import one_line
from dwca_export.shapes import shape_fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch.export import ExportedProgram

    from dwca_export.loading.source import Request, Shapes

_HALF = {torch.float16, torch.bfloat16}


def read_pt2(request: Request) -> Source:
    """Load an exported program onto the CPU.

    Args:
        request: The file, and what it may do.

    Returns:
        A `torch.export.ExportedProgram`, with the shapes of its example inputs.

    Raises:
        InputRefusedError: The file is damaged, could run code, holds no program or several, or has weights that are
            not finite.
    """
    try:
        program = _load(request.path) if request.trust_all else _load_audited(request.path)
    except InputRefusedError:
        raise
    except (Exception, SystemExit) as error:  # whatever a damaged archive leads to
        raise InputRefusedError(
            f"the exported program is damaged, or of another torch ({one_line(error)})",
            hint=f"copy it again, or export it again with torch {torch.__version__.partition('+')[0]}",
        ) from error
    check_numbers(program.named_parameters(), program.named_buffers())
    shapes = _shapes(program)
    return Source(program, "exported_program", shapes, "exported program" if shapes else "", _notes(program))


def _load_audited(path: Path) -> ExportedProgram:
    audit(path)
    with _forced_weights_only():
        return _load(path)


def _load(path: Path) -> ExportedProgram:
    # Not torch.export.load: where this fails, that falls back to an older format, which the audit does not cover.
    with path.open("rb") as file:
        programs = load_pt2(file).exported_programs
    if len(programs) != 1:
        raise InputRefusedError(f"it holds {len(programs)} programs, not one", hint="save one per file")
    return next(iter(programs.values()))


@contextlib.contextmanager
def _forced_weights_only() -> Iterator[None]:
    switch = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(switch)
    os.environ[switch] = "1"
    try:
        yield
    finally:
        del os.environ[switch]
        if before is not None:
            os.environ[switch] = before


def _shapes(program: ExportedProgram) -> Shapes | None:
    if not program.example_inputs:
        return None
    positional, named = program.example_inputs
    inputs = [*positional, *named.values()]
    if not inputs or any(not isinstance(value, torch.Tensor) or shape_fault(value.shape) for value in inputs):
        return None
    return tuple(tuple(value.shape) for value in inputs)


def _notes(program: ExportedProgram) -> tuple[str, ...]:
    half = sum(value.dtype in _HALF for _, value in program.named_parameters())
    return (f"{half} of its weights are in half precision, and stay as they are",) if half else ()
