"""What a user can ask of `dwca-export`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwca_export.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dwca_export.sizes import Shapes

PRECISIONS = ("fp32", "fp16")  # of weight files, most exact first


@dataclass(frozen=True)
class ExportRequest:
    """What the user asked for.

    Attributes:
        model: The model file.
        out: Folder for the bundle; see `bundle_folder`.
        shapes: Input shapes, or None for those that the model names.
        arch: See `load`.
        arch_args: See `load`.
        trust: See `load`.
        trust_all: See `load`.
        precisions: Weight files to write, of `PRECISIONS`.
        images: Data for parity; see `open_samples`.
        samples: How many samples to compare on.
        seed: Of the noise, where there is no data.
        dynamic: Whether to make one network for every size.
        force: Whether an older bundle may be replaced.
        timeout: Seconds that a converter or ncnn may take.

    Raises:
        UsageError: A precision is unknown or named twice, or there is none.
    """

    model: Path
    out: Path | None = None
    shapes: Shapes | None = None
    arch: str | None = None
    arch_args: Mapping[str, Any] | None = None
    trust: Sequence[str] = ()
    trust_all: bool = False
    precisions: Sequence[str] = ("fp32",)
    images: Path | None = None
    samples: int = 4
    seed: int = 0
    dynamic: bool = False
    force: bool = False
    timeout: float = 300.0

    def __post_init__(self) -> None:
        named = self.precisions
        if not named or len(set(named)) != len(named) or not set(named) <= set(PRECISIONS):
            raise UsageError(f"{','.join(named)!r} is unknown", where="--precision", hint="fp32, fp16 or fp32,fp16")
