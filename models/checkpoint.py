"""Trained networks as files: plain data from which the network can be built again, without trust."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dwca_export.errors import DwcaExportError, InputRefusedError
from models import nets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ARCH = "models/nets.py:"
"""What `arch` begins with; the name of a factory follows."""

FACTORIES: Mapping[str, Any] = {"classifier": nets.classifier, "detector": nets.detector}
_KEYS = ("state_dict", "arch", "arch_args", "shape")
_HINT = "take the weights.pt of a finished run, or a checkpoint of the zoo"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        state_dict: Tensors by name.
        arch: `models/nets.py:classifier` or `models/nets.py:detector`, as `--arch` takes it.
        arch_args: Keyword arguments of the factory, plain values.
        shape: Of the input, batch axis of 1 first.
        extras: What else it says: `labels`, `detection`.
        source: The file that it was read from, for errors.
    """

    state_dict: Mapping[str, Tensor]
    arch: str
    arch_args: Mapping[str, Any]
    shape: tuple[int, ...]
    extras: Mapping[str, Any] = field(default_factory=dict)
    source: str = field(default="", compare=False)

    def network(self) -> nn.Module:
        """Build the network, in evaluation mode.

        Raises:
            InputRefusedError: The weights are not those of the network that `arch` names.
        """
        try:
            network: nn.Module = FACTORIES[self.arch.rpartition(":")[2]](**self.arch_args)
            network.load_state_dict(dict(self.state_dict))
        except (KeyError, TypeError, RuntimeError, DwcaExportError) as error:
            fault = " ".join(str(error).split())[:300]
            what = f"its weights do not fit {self.arch}: {fault}"
            raise InputRefusedError(what, where=self.source, hint=_HINT) from error
        return network.eval()

    def content(self) -> bytes:
        """The bytes of the file: the same for the same values."""
        # Training in channels_last leaves its strides in the weights; a buffer, unlike a file, keeps its name out of
        # the archive, and with it out of the hash.
        layout = torch.contiguous_format
        state = {name: tensor.detach().clone(memory_format=layout) for name, tensor in self.state_dict.items()}
        buffer = io.BytesIO()
        named = {"arch": self.arch, "arch_args": dict(self.arch_args), "shape": list(self.shape)}
        torch.save({"state_dict": state, **named, **self.extras}, buffer)
        return buffer.getvalue()


def read(file: Path) -> Checkpoint:
    """Read a checkpoint; nothing in it runs.

    Args:
        file: Written with `Checkpoint.content`, or as it would be.

    Raises:
        InputRefusedError: It cannot be read, is damaged, or holds something else.
    """
    try:
        content = torch.load(file, weights_only=True, map_location="cpu")
    except OSError as error:
        raise InputRefusedError(f"it cannot be read ({error.strerror})", where=str(file), hint=_HINT) from error
    except Exception as error:  # whatever a damaged archive leads to
        raise InputRefusedError("it is damaged, or no checkpoint", where=str(file), hint=_HINT) from error
    if not isinstance(content, dict) or (missing := [key for key in _KEYS if key not in content]):
        lacks = ", ".join(missing) if isinstance(content, dict) else "everything"
        raise InputRefusedError(f"it is no checkpoint of ours: it lacks {lacks}", where=str(file), hint=_HINT)
    extras = {key: value for key, value in content.items() if key not in _KEYS}
    state, arch, arguments, shape = (content[key] for key in _KEYS)
    return Checkpoint(state, arch, arguments, tuple(shape), extras, str(file))
