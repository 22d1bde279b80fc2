"""A training on disk after each of its epochs, so that an interrupted one can be taken up again."""

from __future__ import annotations

import io
import pickle
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from dwca_export.errors import InputRefusedError
from models.training import Epoch
from models.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

_ANEW = "remove the file, and the training starts anew"


@dataclass(frozen=True)
class StateFile:
    """Where a training is kept.

    Attributes:
        path: The file; its folder exists.
        identity: What the training is (recipe, network, data): plain values. A training of another identity is not
            continued.
    """

    path: Path
    identity: dict[str, Any]

    def keep(self, network: nn.Module, optimiser: torch.optim.Optimizer, epochs: list[Epoch]) -> None:
        """Write the training as it is after an epoch, in one step.

        Args:
            network: The network.
            optimiser: Its optimiser.
            epochs: All epochs so far.

        Raises:
            OSError: The file cannot be written.
        """
        content = {
            "identity": self.identity,
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "epochs": [asdict(epoch) for epoch in epochs],
        }
        # By way of memory: torch makes a RuntimeError of a disc that is full.
        stream = io.BytesIO()
        torch.save(content, stream)
        write_whole(self.path, stream.getvalue())

    def resume(self, network: nn.Module, optimiser: torch.optim.Optimizer) -> list[Epoch]:
        """Bring network and optimiser to where the kept training ended.

        Args:
            network: The network, changed in place.
            optimiser: Its optimiser, changed in place.

        Returns:
            The epochs that are done; none where nothing is kept.

        Raises:
            InputRefusedError: The file is damaged, or holds a training of another identity.
        """
        content = self._read()
        if content is None:
            return []
        if content["identity"] != self.identity:
            raise InputRefusedError(
                f"it holds another training ({_difference(content['identity'], self.identity)})",
                where=str(self.path),
                hint=f"ask for the same training again, or {_ANEW}",
            )
        try:
            network.load_state_dict(content["network"])
            optimiser.load_state_dict(content["optimiser"])
            return [Epoch(**epoch) for epoch in content["epochs"]]
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            raise self._damaged(error) from error

    def _read(self) -> dict[str, Any] | None:
        try:
            content = torch.load(self.path, weights_only=True, map_location="cpu")
        except FileNotFoundError:
            return None
        except (RuntimeError, ValueError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
            raise self._damaged(error) from error
        if not isinstance(content, dict) or not {"identity", "network", "optimiser", "epochs"} <= content.keys():
            raise self._damaged("it is no kept training")
        return content

    def _damaged(self, error: object) -> InputRefusedError:
        reason = str(error).partition("\n")[0]
        return InputRefusedError(f"this kept training cannot be read ({reason})", where=str(self.path), hint=_ANEW)


def _difference(kept: Any, asked: dict[str, Any]) -> str:
    """Name the first thing that differs, with both of its values."""
    if not isinstance(kept, dict):
        return "it does not say which"
    for name in [*asked, *kept]:
        ours, theirs = asked.get(name), kept.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict) and ours != theirs:
            return f"{name}: {_difference(theirs, ours)}"
        if ours != theirs:
            return f"{name}={theirs!r}, not {ours!r}"
    return ""
