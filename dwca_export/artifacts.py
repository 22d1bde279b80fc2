"""What flows between the hops: frozen dataclasses, one per kind of model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

SourceKind = Literal["state_dict", "module", "torchscript", "exported_program", "onnx"]


@dataclass(frozen=True)
class LoadedModel:
    """What a model file held, before anything was done to it.

    Attributes:
        model: `torch.nn.Module` (kinds `state_dict` and `module`), `torch.jit.ScriptModule`,
            `torch.export.ExportedProgram` or `onnx.ModelProto`, as `kind` says.
        kind: What the file was.
        sha256: Hash of the file.
        shapes: Input shapes that the file itself (or its card) names, one per input, or None.
        shapes_from: Where `shapes` come from, for the report ("checkpoint", "card", "onnx", "exported program").
        card: The card beside the checkpoint (`<stem>.card.json`), empty where there is none.
        notes: What the user should know (prefixes removed, EMA weights taken, fp16 widened, ...).
    """

    model: Any
    kind: SourceKind
    sha256: str
    shapes: tuple[tuple[int, ...], ...] | None = None
    shapes_from: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
