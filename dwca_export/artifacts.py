"""What flows between the hops: frozen dataclasses, one per kind of model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dwca_export.ncnn.graph import Tap
    from dwca_export.ncnn.param import Param
    from dwca_export.ncnn.weights import Weight

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
        card: The card beside the checkpoint (`<stem>.card.json`), completed by what the file itself says; empty where
            neither says anything.
        notes: What the user should know (prefixes removed, EMA weights taken, fp16 widened, ...).
    """

    model: Any
    kind: SourceKind
    sha256: str
    shapes: tuple[tuple[int, ...], ...] | None = None
    shapes_from: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        name: Name that the user knows it by: an argument of `forward`, a key of the returned dict, ...
        shape: Static shape, batch axis included.
        dtype: numpy's name of the element type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


def tensor_specs(entries: Iterable[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    """Inputs or outputs as JSON describes them: objects with `name`, `shape` and `dtype`."""
    return tuple(TensorSpec(entry["name"], tuple(entry["shape"]), entry["dtype"]) for entry in entries)


@dataclass(frozen=True)
class TorchModel:
    """A network in inference form that takes and returns tensors only.

    Attributes:
        program: `torch.nn.Module` (TorchScript included) or `torch.export.ExportedProgram`.
        inputs: What it takes, in order.
        outputs: What it returns, in order, with the names that the user knows.
        notes: What `prepare` changed or found.
    """

    program: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX graph with static shapes.

    Attributes:
        proto: `onnx.ModelProto`, weights inside.
        inputs: What it takes, in order.
        outputs: What it returns, in order.
        scopes: ONNX value -> path of the torch module (or of the operation in it) that computes it.
        program: The `torch.export.ExportedProgram` that it was made from, whose nodes have the names of the ONNX
            values; None if it was made otherwise.
    """

    proto: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    scopes: Mapping[str, str] = field(default_factory=dict)
    program: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class NcnnModel:
    """An ncnn network: graph and weights.

    Attributes:
        param: The graph.
        weights: Every weight in the order of the bin file.
        inputs: What it takes, in order; blob `in0` is the first.
        outputs: What it returns, in order; blob `out0` is the first.
        taps: Names of the values that pnnx was made to write as further outputs; blob `out<len(outputs)>` is the first.
        tapped: The same once the passes have taken those outputs away: which blob can be compared with which value.
    """

    param: Param
    weights: tuple[Weight, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    taps: tuple[str, ...] = ()
    tapped: tuple[Tap, ...] = ()
