"""How far apart two backends may be: every number with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Largest error that a hop may add.

    Attributes:
        relative_l2: |candidate - reference| / |reference|, both Euclidean norms over one output of one sample.
        relative_max: Largest absolute difference, over the reference's largest magnitude.
        reason: Where the numbers come from.
    """

    relative_l2: float
    relative_max: float
    reason: str


TOLERANCES = {
    # fp32 has a unit round-off of 6e-8. Backends sum in other orders: over some thousand products the difference grows
    # with the square root, to about 4e-6 a layer, and layers add up as independent errors: 4e-5 for a hundred of them.
    # One sum wrongly formed (a strip mean over the wrong count, statistics over the wrong set) shows as 1e-2 and more.
    "fp32": Tolerance(
        1e-4, 5e-4, "fp32 sums in another order: 6e-8 * sqrt(4000 products) * sqrt(100 layers), rounded up"
    ),
    # Every weight is rounded to 11 bits: a relative 2.4e-4 on average, independent from weight to weight, so a layer's
    # sum errs by 2.4e-4 of its own size, and a hundred layers by ten times that; normalisation layers amplify it.
    "fp16-weights": Tolerance(
        1e-2, 2e-2, "weights rounded to 11 bits: 2.4e-4 * sqrt(100 layers), times 4 for normalisation"
    ),
}
