"""Which input sizes a network for every size is made from and proven at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.errors import InputRefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Shapes = tuple[tuple[int, ...], ...]

_RANK = 4  # N, C, H, W


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
        InputRefusedError: The network runs on one size only.
    """
    if not any(len(shape) == _RANK for shape in shapes):
        raise UsageError("no input has a height and a width", where="--dynamic", hint="export for the given shape")
    try:
        conversion, proof = _grow(shapes, _ANY)
        for one in (*conversion, *proof[:-1]):
            accepts(one)
        # A smaller size too, unless the network is at its limit already.
        smaller = proof[-1:] if _runs(proof[-1], accepts) else ()
        return SizePlan(conversion, (*proof[:-1], *smaller))
    except InputRefusedError:
        conversion, proof = _grow(shapes, _MULTIPLES)
        for one in (*conversion, *proof):
            accepts(one)
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


def _runs(shapes: Shapes, accepts: Callable[[Shapes], object]) -> bool:
    if min(size for shape in shapes for size in shape) < 1:
        return False
    try:
        accepts(shapes)
    except InputRefusedError:
        return False
    return True
