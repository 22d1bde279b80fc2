"""What a reader of one kind of file takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwca_export.artifacts import SourceKind

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Request:
    """What is to be loaded, and what the user allows.

    Attributes:
        path: The file.
        arch: Factory of the network, `file.py:factory` or `package.module:factory`, for state dicts.
        arch_args: Its keyword arguments, or None where the user gave none.
        trust: Packages whose classes the file may use.
        trust_all: Whether the file may run any code.
    """

    path: Path
    arch: str | None = None
    arch_args: Mapping[str, Any] | None = None
    trust: tuple[str, ...] = ()
    trust_all: bool = False


@dataclass(frozen=True)
class Source:
    """What a file held.

    Attributes:
        model: As in `LoadedModel`.
        kind: What the file was.
        shapes: Input shapes that the file itself names, one per input, or None.
        shapes_from: What names them.
        notes: What the user should know.
        described: What the file says that a card may say too: `labels`, `detection`.
    """

    model: Any
    kind: SourceKind
    shapes: Shapes | None = None
    shapes_from: str = ""
    notes: tuple[str, ...] = field(default=())
    described: Mapping[str, Any] = field(default_factory=dict)
