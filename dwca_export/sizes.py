"""Which input sizes a network for every size is made from and proven at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.errors import InputRefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Shapes = tuple[tuple[int, ...], ...]

_RANK = 4  # N, C, H, W
_FIXED = "leave --dynamic out: export for one size"


@dataclass(frozen=True)
class SizePlan:
    """Input shapes by purpose.

    Attributes:
        conversion: Shapes to convert at; the first is the user's.
        proof: Shapes to prove parity at, none of them converted at.
        note: What the user should know of the choice.
    """

    conversion: tuple[Shapes, ...]
    proof: tuple[Shapes, ...]
    note: str = ""


# Growth in (height, width). Both change, each by its own amount and to odd sizes too: a number that follows the height
# cannot be taken for one that follows the width, nor a floor for a ceiling.
_ANY = ((0, 0), (21, 46), (50, 11)), ((13, 5), (5, 34), (77, 2), (-9, -3))
# For networks that themselves take only multiples of their stride.
_MULTIPLES = ((0, 0), (64, 128), (128, 32)), ((32, 64), (96, 32), (0, 160))


def plan_sizes(shapes: Shapes, accepts: Callable[[Shapes], object]) -> SizePlan:
    """Choose the sizes.

    Args:
        shapes: The user's shapes.
        accepts: Raises InputRefusedError for shapes that the network does not run on.

    Raises:
        UsageError: No input has a height and a width.
        InputRefusedError: The network does not run on the user's shapes, or on no others.
    """
    if not any(len(shape) == _RANK for shape in shapes):
        raise UsageError("no input has a height and a width", where="--dynamic", hint=_FIXED)
    accepts(shapes)
    conversion, proof = _grow(shapes, _ANY)
    if all(_refusal(one, accepts) is None for one in (*conversion[1:], *proof[:-1])):
        # A smaller size too, unless the network is at its limit already.
        smaller = proof[-1:] if _refusal(proof[-1], accepts) is None else ()
        return SizePlan(conversion, (*proof[:-1], *smaller))
    conversion, proof = _grow(shapes, _MULTIPLES)
    for one in (*conversion[1:], *proof):
        refusal = _refusal(one, accepts)
        if refusal is not None:
            raise InputRefusedError(f"other sizes are refused: {refusal.what}", where="--dynamic", hint=_FIXED)
    return SizePlan(conversion, proof, "the network itself refuses some sizes: proven at steps of 32 only")


def _grow(
    shapes: Shapes, growths: tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]]
) -> tuple[tuple[Shapes, ...], tuple[Shapes, ...]]:
    conversion, proof = (tuple(_grown(shapes, *growth) for growth in purpose) for purpose in growths)
    return conversion, proof


def _grown(shapes: Shapes, height: int, width: int) -> Shapes:
    return tuple(
        (*shape[:2], shape[2] + height, shape[3] + width) if len(shape) == _RANK else shape for shape in shapes
    )


def _refusal(shapes: Shapes, accepts: Callable[[Shapes], object]) -> InputRefusedError | None:
    if min(size for shape in shapes for size in shape) < 1:
        return InputRefusedError("a size below 1")
    try:
        accepts(shapes)
    except InputRefusedError as error:
        return error
    return None
