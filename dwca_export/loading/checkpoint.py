"""Where in a checkpoint the network is: under which key, as weights or as a whole module, averaged or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from dwca_export.errors import InputRefusedError
from dwca_export.loading.text import printable

# Averaged weights are those that are meant to be used; a training loop that keeps them evaluates with them.
_AVERAGED = ("ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "ema", "params_ema")
_RAW = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params")


@dataclass(frozen=True)
class Found:
    """The network in a checkpoint.

    Attributes:
        network: A module, or a state dict.
        extras: What else the checkpoint holds, by key; empty where the network is all.
        notes: What the user should know.
    """

    network: nn.Module | Mapping[str, Any]
    extras: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def find_network(checkpoint: object) -> Found:
    """Find the network in what `torch.load` gave.

    Args:
        checkpoint: A module, a state dict, or a dict that holds one under a usual key.

    Returns:
        The network and its surroundings.

    Raises:
        InputRefusedError: There is none.
    """
    if isinstance(checkpoint, nn.Module):
        return Found(checkpoint)
    if not isinstance(checkpoint, Mapping):
        raise _refused(f"it holds a {type(checkpoint).__name__}")
    keys = _path(checkpoint)
    if keys:
        network = checkpoint
        for key in keys:
            network = network[key]
        return Found(network, {key: checkpoint[key] for key in checkpoint if key != keys[0]}, _notes(checkpoint, keys))
    if _is_state_dict(checkpoint):
        return Found(checkpoint)
    if not checkpoint or any(_is_empty(checkpoint.get(key)) for key in (*_AVERAGED, *_RAW)):
        raise InputRefusedError("the state dict in it is empty", hint="save the weights of a network that has some")
    held = ", ".join(printable(str(key)) for key in list(checkpoint)[:10])
    raise _refused(f"it holds no network under a usual key (its keys: {held})")


def _refused(what: str) -> InputRefusedError:
    usual = ", ".join((*_RAW[:3], *_AVERAGED[:4]))
    return InputRefusedError(what, hint=f"save a state dict, alone or in a dict under one of: {usual}")


def _path(checkpoint: Mapping[Any, Any]) -> tuple[str, ...]:
    """Keys that lead to the network, averaged before raw; empty where there is none below this level."""
    for key in (*_AVERAGED, *_RAW):
        value = checkpoint.get(key)
        if isinstance(value, nn.Module):
            return (key,)
        if isinstance(value, Mapping):
            inner = _path(value)
            if inner or _is_state_dict(value):
                return (key, *inner)
    return ()


def _is_state_dict(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in value) and any(isinstance(entry, Tensor) for entry in value.values())


def _is_empty(value: object) -> bool:
    return isinstance(value, Mapping) and not value


def _notes(checkpoint: Mapping[Any, Any], keys: tuple[str, ...]) -> tuple[str, ...]:
    if keys[0] in _AVERAGED:
        raw = [key for key in _RAW if isinstance(checkpoint.get(key), nn.Module | Mapping)]
        instead = f" instead of the raw ones in {raw[0]!r}" if raw else ""
        return (f"averaged (EMA) weights taken from {keys[0]!r}{instead}",)
    unread = [key for key in _AVERAGED if checkpoint.get(key) is not None]
    return tuple(f"{key!r} holds no weights in a known form: those in {keys[0]!r} are used" for key in unread)
