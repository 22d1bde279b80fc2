"""What ncnn asks of the inputs and outputs of every network: one sample, of one to four axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.errors import InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dwca_export.artifacts import TensorSpec

_MAX_RANK = 5  # batch, channels, depth, height, width


def check_inputs(inputs: Iterable[TensorSpec], where: str) -> None:
    """Refuse inputs that no ncnn network takes.

    Args:
        inputs: What the network takes.
        where: The hop, for the error.

    Raises:
        InputRefusedError: More than one sample, or more axes than ncnn has.
    """
    for spec in inputs:
        size = "x".join(map(str, spec.shape))
        if spec.shape[0] != 1:
            raise InputRefusedError(
                f"the batch axis of {size} is {spec.shape[0]}",
                where=where,
                hint="ncnn runs one sample at a time: start the shape with 1x",
            )
        if len(spec.shape) > _MAX_RANK:
            raise InputRefusedError(
                f"input {spec.name!r} has {len(spec.shape)} axes ({size}), ncnn's tensors have {_MAX_RANK - 1} at most",
                where=where,
                hint="reshape inside forward",
            )


def check_outputs(outputs: Iterable[TensorSpec], where: str) -> None:
    """Refuse outputs that no ncnn network returns.

    Args:
        outputs: What the network returns for one sample.
        where: The hop, for the error.

    Raises:
        InputRefusedError: An empty output, one without batch axis, or with more or less axes than ncnn has.
    """
    for spec in outputs:
        if 0 in spec.shape:
            fault, hint = "is empty", "the input is too small for the net's stride"
        elif not spec.shape or spec.shape[0] != 1:
            fault, hint = "does not start with a batch axis of 1", "keep the batch axis: ncnn runs one sample at a time"
        elif not 1 < len(spec.shape) <= _MAX_RANK:
            fault, hint = f"does not have 1 to {_MAX_RANK - 1} axes behind the batch", "reshape it inside forward"
        else:
            continue
        raise InputRefusedError(f"output {spec.name!r} of shape {list(spec.shape)} {fault}", where=where, hint=hint)
