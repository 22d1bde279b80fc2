"""What a run needs of its task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt
    from torch import nn

    from models.training import Task

    Metrics = dict[str, Any]
    Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ExperimentTask:
    """A task with its data.

    Attributes:
        training: What the training loop works on.
        test: Measures a network in evaluation mode on the test part: metrics, and the arrays of `predictions.npz`.
        extra: What the checkpoint carries beside the network.
        prepare: Changes a network after its initialisation.
    """

    training: Task
    test: Callable[[nn.Module], tuple[Metrics, Arrays]]
    extra: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[nn.Module], None] | None = None
