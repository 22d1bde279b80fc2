"""How samples pass between the parent and the child process: `.npz` files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Feeds = dict[str, np.ndarray]


def save_samples(path: Path, samples: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Write samples to a `.npz`; its keys are `<sample>/<name>`."""
    arrays: dict[str, Any] = {
        f"{index}/{name}": array for index, sample in enumerate(samples) for name, array in sample.items()
    }
    np.savez(path, **arrays)


def load_samples(path: Path, count: int) -> list[Feeds]:
    """Read what `save_samples` wrote."""
    samples: list[Feeds] = [{} for _ in range(count)]
    with np.load(path) as archive:
        for key in archive.files:
            index, name = key.split("/", 1)
            samples[int(index)][name] = archive[key]
    return samples
