"""Brings a loaded network into inference form: it takes tensors and returns a tuple of named tensors."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from dwca_export.artifacts import TensorSpec, TorchModel
from dwca_export.errors import InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dwca_export.artifacts import LoadedModel

_DROPOUTS = (nn.modules.dropout._DropoutNd, nn.AlphaDropout, nn.FeatureAlphaDropout)
_WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
_TRAINING_OPERATORS = ("_native_batch_norm_legit.default", "_native_batch_norm_legit_functional", "native_dropout")
# Preparation changes no arithmetic, so the outputs may differ by the rounding of a folded weight only.
_SAME = 1e-6


def prepare(loaded: LoadedModel, shapes: Sequence[tuple[int, ...]] | None) -> TorchModel:
    """Bring a network into inference form and prove that it still computes the same.

    Args:
        loaded: What `load` returned, of any kind but `onnx`.
        shapes: Shape of each input, batch axis included; None for one 1x3x224x224 input.

    Raises:
        InputRefusedError: The network does not run on these shapes, has random or non-finite outputs, or returns what
            is no tensor.
    """
    if loaded.kind == "exported_program":
        return _prepare_program(loaded, shapes)
    module: nn.Module = loaded.model
    module.eval()
    inputs = _input_specs(module, shapes or ((1, 3, 224, 224),))
    arguments = _noise(inputs)
    before = _run(module, arguments)
    notes: list[str] = []
    if loaded.kind != "torchscript":
        module, notes = _strip_training(module)
    outputs = _check_run(module, arguments, before)
    flat = module if loaded.kind == "torchscript" else _Flattened(module).eval()
    return TorchModel(flat, inputs, outputs, tuple(notes))


class _Flattened(nn.Module):
    """Returns the tensors in whatever the network returns, in order."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *arguments: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(tensor for _, tensor in named_tensors(self.model(*arguments)))


def named_tensors(value: Any, name: str = "") -> list[tuple[str, torch.Tensor]]:
    """The tensors in nested tuples, lists, dicts and dataclasses, with the names that lead to them.

    A tensor alone is `output`, the parts of a tuple are `output_0`, ..., those of a dict have its keys; None is left
    out, as heads that only train return it.

    Raises:
        InputRefusedError: Something else is in there, or nothing at all.
    """
    if isinstance(value, torch.Tensor):
        return [(name or "output", value)]
    tensors = [pair for key, part in _parts(value, name) for pair in named_tensors(part, key)]
    if not tensors and not name:
        raise InputRefusedError(
            "the network returns no tensor", where="prepare", hint="wrap it so that forward returns tensors"
        )
    return tensors


def _parts(value: Any, name: str) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        named = [(str(key), part) for key, part in value.items()]
    elif dataclasses.is_dataclass(value):
        named = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif hasattr(value, "_fields"):
        named = list(zip(value._fields, value, strict=True))
    elif isinstance(value, (tuple, list)):
        return [(f"{name or 'output'}_{index}", part) for index, part in enumerate(value)]
    else:
        raise InputRefusedError(
            f"the network returns a {type(value).__name__}{f' in {name!r}' if name else ''}, which is no tensor",
            where="prepare",
            hint="return tensors, or tuples, lists, dicts and dataclasses of them",
        )
    return [(f"{name}.{key}" if name else key, part) for key, part in named]


def _prepare_program(loaded: LoadedModel, shapes: Sequence[tuple[int, ...]] | None) -> TorchModel:
    program: torch.export.ExportedProgram = loaded.model
    training = [
        str(node.target)
        for node in program.graph.nodes
        if any(name in str(node.target) for name in _TRAINING_OPERATORS)
    ]
    if training:
        raise InputRefusedError(
            f"the program was exported in training mode: it holds {training[0]}",
            where="prepare",
            hint="export model.eval()",
        )
    if not shapes:
        raise InputRefusedError("the program names no input shapes", where="prepare", hint="give --shape")
    names = program.graph_signature.user_inputs
    inputs = tuple(TensorSpec(str(name), shape) for name, shape in zip(names, shapes, strict=False))
    if len(names) != len(shapes):
        raise InputRefusedError(
            f"{len(shapes)} shapes given, the program takes {len(names)} inputs",
            where="prepare",
            hint="give --shape once per input",
        )
    module = program.module()
    arguments = _noise(inputs)
    outputs = _check_run(module, arguments, _run(module, arguments))
    return TorchModel(program, inputs, outputs)


def _input_specs(module: nn.Module, shapes: Sequence[tuple[int, ...]]) -> tuple[TensorSpec, ...]:
    """Name the inputs after the arguments of `forward`."""
    for shape in shapes:
        if shape[0] != 1:
            raise InputRefusedError(
                f"the batch axis of {'x'.join(map(str, shape))} is {shape[0]}",
                where="prepare",
                hint="ncnn runs one sample at a time: start the shape with 1x",
            )
    if isinstance(module, torch.jit.ScriptModule):
        schema: Any = module.forward.schema  # type: ignore[attr-defined]  # TorchScript's, which mypy does not know
        names = [argument.name for argument in schema.arguments[1:]]
    else:
        names = [
            parameter.name
            for parameter in inspect.signature(module.forward).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    names += [f"input_{index}" for index in range(len(names), len(shapes))]
    return tuple(TensorSpec(name, tuple(shape)) for name, shape in zip(names, shapes, strict=False))


def _noise(inputs: Sequence[TensorSpec]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(spec.shape, generator=generator) for spec in inputs]


def _run(module: Callable[..., Any], arguments: Sequence[torch.Tensor]) -> list[tuple[str, torch.Tensor]]:
    shapes = ", ".join("x".join(map(str, argument.shape)) for argument in arguments)
    try:
        with torch.inference_mode():
            return named_tensors(module(*arguments))
    except InputRefusedError:
        raise
    except Exception as error:  # whatever the user's forward raises
        message = str(error).strip().splitlines()
        raise InputRefusedError(
            f"the network does not run on {shapes}: {type(error).__name__}: {message[0] if message else ''}",
            where="prepare",
            hint="give the shape it was made for: --shape 1xCxHxW, once per input",
        ) from error


def _check_run(
    module: Callable[..., Any], arguments: Sequence[torch.Tensor], before: list[tuple[str, torch.Tensor]]
) -> tuple[TensorSpec, ...]:
    """Run the prepared network and refuse outputs that nothing could be proven about."""
    for (name, expected), (_, tensor) in zip(before, _run(module, arguments), strict=True):
        if tensor.dtype != torch.float32:
            raise InputRefusedError(
                f"output {name!r} is {tensor.dtype}", where="prepare", hint="return float32 tensors only"
            )
        if not tensor.numel():
            raise InputRefusedError(
                f"output {name!r} is empty: {list(tensor.shape)}",
                where="prepare",
                hint="the input is too small for the net's stride",
            )
        if not tensor.isfinite().all():
            raise InputRefusedError(
                f"output {name!r} holds NaN or infinity on noise", where="prepare", hint="check the weights"
            )
        error = (tensor - expected).abs().max().item()
        if math.isnan(error) or error > _SAME * max(1.0, expected.abs().max().item()):
            raise InputRefusedError(
                f"output {name!r} changes by {error:.3g} from run to run or by preparation",
                where="prepare",
                hint="the network is random in eval mode; make forward deterministic",
            )
    return tuple(TensorSpec(name, tuple(tensor.shape)) for name, tensor in before)


def _strip_training(module: nn.Module) -> tuple[nn.Module, list[str]]:
    """Take out what only training needs."""
    notes = []
    while type(module).__name__ in _WRAPPERS:
        notes.append(f"{type(module).__name__} unwrapped")
        module = getattr(module, _WRAPPERS[type(module).__name__])
    dropouts = _replace(module, _DROPOUTS)
    if dropouts:
        notes.append(f"{dropouts} dropout layers removed")
    parametrized = [part for part in module.modules() if parametrize.is_parametrized(part)]
    for part in parametrized:
        for name in list(part.parametrizations):  # type: ignore[arg-type]  # a ModuleDict, which mypy takes for a Tensor
            parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    if parametrized:
        notes.append(f"parametrizations of {len(parametrized)} modules folded into their weights")
    module.requires_grad_(False)
    return module.float(), notes


def _replace(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> int:
    count = 0
    for name, child in module.named_children():
        if isinstance(child, kinds):
            setattr(module, name, nn.Identity())
            count += 1
        else:
            count += _replace(child, kinds)
    return count
