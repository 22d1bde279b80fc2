"""Tells networks in training mode from those ready for inference, and takes out what only training needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from dwca_export.errors import InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
# Without running statistics, a normalisation of the batch is one of the sample where the batch has one.
_BATCH_STATISTICS: dict[type[nn.Module], type[nn.modules.instancenorm._InstanceNorm]] = {
    nn.BatchNorm1d: nn.InstanceNorm1d,
    nn.BatchNorm2d: nn.InstanceNorm2d,
    nn.BatchNorm3d: nn.InstanceNorm3d,
}


def unwrap(module: nn.Module) -> tuple[nn.Module, list[str]]:
    """Take off what distributes or compiles a network and its parts.

    Returns:
        The network, and a note for each wrapper.
    """
    notes = []
    while type(module).__name__ in _WRAPPERS:
        notes.append(f"{type(module).__name__} unwrapped")
        module = getattr(module, _WRAPPERS[type(module).__name__])
    for name, child in list(module.named_children()):
        inner, found = unwrap(child)
        if inner is not child:
            setattr(module, name, inner)
        notes += found
    return module, notes


def strip_training(module: nn.Module) -> list[str]:
    """Fold re-parametrised weights, give each sample its own statistics where there are no others, drop gradients.

    Dropout layers stay where they are: in eval mode they do nothing and leave no trace in the ONNX graph.

    Args:
        module: In eval mode; changed in place.

    Returns:
        A note for each kind of change.
    """
    notes = []
    folded = _fold_parametrizations(module) + _fold_hooks(module)
    if folded:
        notes.append(f"{folded} re-parametrised weights folded")
    replaced = _replace_batch_statistics(module)
    if replaced:
        notes.append(f"{replaced} BatchNorms without running statistics normalise each sample by its own")
    module.requires_grad_(False)
    return notes


def refuse_training(program: nn.Module | torch.export.ExportedProgram) -> None:
    """Refuse what stays in training mode whatever is done to it.

    Raises:
        InputRefusedError: A module that ignores `eval()`, or a graph that was recorded in training mode.
    """
    if isinstance(program, torch.export.ExportedProgram):
        found = _training_in_program(program)
    elif isinstance(program, torch.jit.ScriptModule):
        found = _training_in_script(program)
    else:
        found = (name or "the network" for name, part in program.named_modules() if part.training)
    culprit = next(found, None)
    if culprit is not None:
        raise InputRefusedError(
            f"{culprit} is in training mode", where="prepare", hint="save or export it again after model.eval()"
        )


def _training_in_program(program: torch.export.ExportedProgram) -> Iterator[str]:
    for node in program.graph.nodes:
        schema: Any = getattr(node.target, "_schema", None)
        if schema is None:
            continue
        names = [argument.name for argument in schema.arguments]
        arguments = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
        if _trains(schema.name, arguments):
            yield f"{node.target} of the exported program"


def _training_in_script(script: torch.jit.ScriptModule) -> Iterator[str]:
    """What tracing recorded; scripted modules follow `eval()`, their mode is no constant."""
    graph: Any = script.inlined_graph
    for node in (*graph.findAllNodes("aten::batch_norm"), *graph.findAllNodes("aten::dropout")):
        schema = torch._C.parse_schema(node.schema())
        values = zip(schema.arguments, node.inputs(), strict=False)
        constants = {argument.name: _constant(value) for argument, value in values}
        if _trains(node.kind(), constants):
            yield f"{node.kind()} of the TorchScript"


def _constant(value: Any) -> Any:
    """The value of a constant, itself where it is computed."""
    return value.toIValue() if value.node().kind() == "prim::Constant" else value


def _trains(operator: str, arguments: dict[str, Any]) -> bool:
    if "dropout" in operator:
        return arguments.get("train") is True
    # Without running statistics it normalises by those of the batch in eval mode too.
    has_statistics = arguments.get("running_mean") is not None
    return "batch_norm" in operator and has_statistics and arguments.get("training", "with_update" in operator) is True


def _fold_parametrizations(module: nn.Module) -> int:
    parts = [part for part in module.modules() if parametrize.is_parametrized(part)]
    weights = [(part, name) for part in parts for name in list(part.parametrizations)]  # type: ignore[arg-type]
    for part, name in weights:
        parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    return len(weights)


def _fold_hooks(module: nn.Module) -> int:
    """The older weight_norm and spectral_norm, which compute the weight in a hook before each forward."""
    hooks = [(part, hook) for part in module.modules() for hook in part._forward_pre_hooks.values()]
    count = 0
    for part, hook in hooks:
        if isinstance(hook, WeightNorm):
            remove_weight_norm(part, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(part, hook.name)
        else:
            continue
        count += 1
    return count


def _replace_batch_statistics(module: nn.Module) -> int:
    count = 0
    for name, child in list(module.named_children()):
        kind = _BATCH_STATISTICS.get(type(child))
        if kind is None or getattr(child, "running_mean", None) is not None:
            count += _replace_batch_statistics(child)
            continue
        norm: Any = child
        replacement: Any = kind(norm.num_features, norm.eps, affine=norm.affine)
        replacement.weight, replacement.bias = norm.weight, norm.bias
        setattr(module, name, replacement.eval())
        count += 1
    return count
