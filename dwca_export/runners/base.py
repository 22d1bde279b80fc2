"""What every backend that runs a model has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import numpy as np
    from typing_extensions import Self

    from dwca_export.artifacts import TensorSpec

from dwca_export.errors import InputRefusedError


class Runner(Protocol):
    """A model that is ready to run; `with` frees what it holds."""

    def __enter__(self) -> Self:
        """Return the runner itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free what the runner holds."""

    def infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the model once.

        Args:
            feeds: One array per input, batch axis included.

        Returns:
            One array per output, batch axis included, in the model's order.
        """


_IMAGE_RANK = 4  # N, C, H, W
_SPATIAL = 2  # H and W come behind N and C


def check_feeds(
    feeds: Mapping[str, np.ndarray],
    inputs: Sequence[TensorSpec],
    where: str,
    *,
    any_size: bool = False,
    size_step: int = 1,
) -> None:
    """Refuse feeds that are not exactly what the model was made for.

    A network with fixed sizes answers other sizes with plausible wrong numbers, so no size is let through.

    Args:
        feeds: One array per input.
        inputs: What the model takes.
        where: The backend, for the error.
        any_size: Whether the model was made for every height and width of its images.
        size_step: With `any_size`: by multiples of this they may differ from those in `inputs`.

    Raises:
        InputRefusedError: A missing or unknown input, another shape or another element type.
    """
    expected = {spec.name for spec in inputs}
    if set(feeds) != expected:
        raise InputRefusedError(
            f"inputs {sorted(feeds)} given, {sorted(expected)} expected", where=where, hint="name every input once"
        )
    for spec in inputs:
        array = feeds[spec.name]
        fixed = _SPATIAL if any_size and len(spec.shape) == _IMAGE_RANK else len(spec.shape)
        same = len(array.shape) == len(spec.shape) and array.shape[:fixed] == spec.shape[:fixed]
        # A float32 array of the other byte order bears the same name.
        if not same or array.dtype.name != spec.dtype or not array.dtype.isnative:
            raise InputRefusedError(
                f"input {spec.name!r} is {array.dtype.name} {list(array.shape)}, "
                f"the model takes {spec.dtype} {list(spec.shape)} only",
                where=where,
                hint="resize the input, or export for this size (--shape) or for every size (--dynamic)",
            )
        if any(
            (size - proven) % size_step for size, proven in zip(array.shape[fixed:], spec.shape[fixed:], strict=True)
        ):
            raise InputRefusedError(
                f"input {spec.name!r} is {list(array.shape)}, the model was proven at steps of {size_step} "
                f"from {list(spec.shape)} only",
                where=where,
                hint="resize the input, or export for this size (--shape)",
            )
