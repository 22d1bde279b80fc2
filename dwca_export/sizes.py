"""Which input sizes a network for every size is made from and proven at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.errors import InputRefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Shapes = tuple[tuple[int, ...], ...]

PROOF_SAMPLES = 1  # at each size that is not converted at: what could be wrong there is the size

_RANK = 4  # N, C, H, W
_FIXED = "export for one size (without --dynamic)"


@dataclass(frozen=True)
class SizePlan:
    """Input shapes by purpose.

    Attributes:
        conversion: Shapes to convert at; the first is the user's.
        proof: Shapes to prove parity at, none of them converted at.
        step: By what the heights and widths of `proof` differ from the user's: multiples of this.
        note: What the user should know of the choice.
    """

    conversion: tuple[Shapes, ...]
    proof: tuple[Shapes, ...]
    step: int = 1
    note: str = ""


# Strides up to this tell the sizes of a plan apart.
_STRIDE = 64
# Growth in (height, width) from the user's shapes. The third is taller than any shape that is converted at.
_PROOF = ((13, 5), (5, 34), (140, 2), (-9, -3))
# For networks that themselves take only multiples of their stride.
_STEP = 32
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
    conversion: tuple[Shapes, ...] = (shapes, *_beside_strides(shapes))
    proof = _grow(shapes, _PROOF)
    if all(_refusal(one, accepts) is None for one in (*conversion[1:], *proof[:-1])):
        # A smaller size too, unless the network is at its limit already.
        smaller = proof[-1:] if _refusal(proof[-1], accepts) is None else ()
        return SizePlan(conversion, (*proof[:-1], *smaller))
    conversion, proof = (_grow(shapes, growths) for growths in _MULTIPLES)
    for one in (*conversion[1:], *proof):
        refusal = _refusal(one, accepts)
        if refusal is not None:
            raise InputRefusedError(f"other sizes are refused: {refusal.what}", where="--dynamic", hint=_FIXED)
    note = (
        f"the network itself refuses some sizes: proven, and to be used, at steps of {_STEP} from the given size only"
    )
    return SizePlan(conversion, proof, _STEP, note)


def _beside_strides(shapes: Shapes) -> tuple[Shapes, Shapes]:
    """Larger shapes: one pixel above a multiple of every stride in one axis, one below in the other, and reversed.

    So a number that follows the height cannot be taken for one that follows the width, nor a floor for a ceiling.
    """

    def above(size: int) -> int:
        return size + -size % _STRIDE + 1

    def grown(taller: int, wider: int) -> Shapes:
        return tuple(
            (*shape[:2], above(shape[2]) + taller, above(shape[3]) + wider) if len(shape) == _RANK else shape
            for shape in shapes
        )

    return grown(0, _STRIDE - 2), grown(_STRIDE - 2, 0)


def _grow(shapes: Shapes, growths: Sequence[tuple[int, int]]) -> tuple[Shapes, ...]:
    return tuple(_grown(shapes, *growth) for growth in growths)


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
