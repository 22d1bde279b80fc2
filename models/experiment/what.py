"""What is trained: the tables of tasks, variants and recipes. A run is one variant of a task with one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dwca_export.errors import UsageError
from models.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

WIDTH = 0.35
CHANNEL_STEP = 8
# Steps of two images cost several times as much per image as those of 64: these two get fewer passes, both alike.
SMALL_BATCH, SMALL_BATCH_EPOCHS = 2, 2


@dataclass(frozen=True)
class Variant:
    """How one network of the comparison differs from the others; what is not named here is the same for all.

    Attributes:
        block: A name of `models.controls.BLOCKS`.
        width: Factor on the channel counts.
        channel_step: Channel counts are multiples of it; finer than 8 where a width is to hit a cost.
        batch: Images per step; None: as many as the task's recipe says.
        epochs: Passes over the training images; None: as many as the task's recipe says.
    """

    block: str
    width: float = WIDTH
    channel_step: int = CHANNEL_STEP
    batch: int | None = None
    epochs: int | None = None


BASELINE, DWCA = Variant("baseline"), Variant("dwca")
# The width at which the baseline's convolutions and linear layers do as many multiply-adds as those of DWCA on a 64x64
# image: `equal_cost.width_of_equal_cost` finds it, and tests/models/experiment/test_what.py holds it to within 2 %.
SAME_MACS = Variant("baseline", width=0.42, channel_step=4)
# The width at which the baseline takes as long as DWCA in ncnn on one thread; measured, so it depends on the machine.
SAME_LATENCY = Variant("baseline", width=1.0)

VARIANTS: Mapping[str, Mapping[str, Variant]] = {
    "objects": {
        "baseline": BASELINE,
        "plain5x5": Variant("plain5x5"),
        "attention3x3": Variant("attention3x3"),
        "dwca": DWCA,
        "dwca_batchnorm": Variant("dwca_batchnorm"),
        "se5x5": Variant("se5x5"),
        "dwca_no_residual": Variant("dwca_no_residual"),
        "baseline_same_macs": SAME_MACS,
        "baseline_same_latency": SAME_LATENCY,
        "dwca_batch2": replace(DWCA, batch=SMALL_BATCH, epochs=SMALL_BATCH_EPOCHS),
        "dwca_batchnorm_batch2": Variant("dwca_batchnorm", batch=SMALL_BATCH, epochs=SMALL_BATCH_EPOCHS),
    },
    "scenes": {"baseline": BASELINE, "dwca": DWCA},
    "fashion": {"baseline": BASELINE, "dwca": DWCA},
}

_COMMON = Recipe(width=WIDTH, epochs=10, batch=64, lr=0.1, weight_decay=5e-4, shift=4, mirror="both")
RECIPES: Mapping[str, Recipe] = {
    "objects": replace(_COMMON, epochs=20),
    "scenes": replace(_COMMON, epochs=12, batch=32),
    # Clothing is worn upright.
    "fashion": replace(_COMMON, epochs=2, batch=128, shift=2, mirror="columns"),
}
TASKS = tuple(VARIANTS)
# A task's networks begin with the trunk that the same variant and seed learned in another one.
PRETRAINING: Mapping[str, str] = {"scenes": "objects"}
SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        task: A name of `VARIANTS`.
        variant: A name of the task's variants.
        seed: Of everything random in it.
    """

    task: str
    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.task}/{self.variant}/seed-{self.seed}"

    def folder(self, runs: Path) -> Path:
        """Name the folder that the run is written to."""
        return runs / self.task / self.variant / f"seed-{self.seed}"


def runs_of(task: str, variants: Iterable[str], seeds: Iterable[int]) -> list[Run]:
    """List the runs of several variants and seeds, seed by seed, so that an early stop leaves whole comparisons.

    Args:
        task: Name of the task.
        variants: Names of its variants; none: all of them.
        seeds: The seeds.

    Returns:
        The runs.

    Raises:
        UsageError: There is no such task or variant.
    """
    known = _variants(task)
    names = list(variants) or list(known)
    for name in names:
        variant_of(task, name)
    return [Run(task, name, seed) for seed in seeds for name in names]


def pretraining_of(run: Run) -> Run | None:
    """Name the run whose trunk a run begins with; None: it begins with random weights."""
    task = PRETRAINING.get(run.task)
    return None if task is None else replace(run, task=task)


def variant_of(task: str, name: str) -> Variant:
    """Look up a variant.

    Args:
        task: Name of the task.
        name: Name of the variant.

    Returns:
        How it differs.

    Raises:
        UsageError: There is no such task or variant.
    """
    known = _variants(task)
    if name not in known:
        raise UsageError(f"there is no variant {name!r}", where=task, hint=f"its variants are {', '.join(known)}")
    return known[name]


def recipe_of(run: Run, **changes: Any) -> Recipe:
    """Make the recipe of a run: that of its task, with the block, width, batch and seed of the run.

    Args:
        run: The run.
        changes: Fields of `Recipe` that are set for all variants alike, such as `epochs`.

    Returns:
        The recipe. At another batch size the learning rate is scaled by the same factor.

    Raises:
        UsageError: There is no such task or variant, or a number is out of its range.
    """
    variant = variant_of(run.task, run.variant)
    recipe = replace(RECIPES[run.task], block=variant.block, width=variant.width, seed=run.seed)
    if variant.epochs is not None:
        recipe = replace(recipe, epochs=variant.epochs)
    recipe = replace(recipe, **changes)
    if variant.batch is None:
        return recipe
    return replace(recipe, batch=variant.batch, lr=recipe.lr * variant.batch / recipe.batch)


def network_of(variant: Variant, factory: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Say how the network of a variant is built.

    Args:
        variant: The variant.
        factory: "classifier" or "detector".
        arguments: Its arguments that all variants of the task share.

    Returns:
        What `dwca-export --arch` takes, and its arguments.
    """
    arguments = {**arguments, "width": variant.width}
    if variant.channel_step != CHANNEL_STEP:
        arguments["channel_step"] = variant.channel_step
    if variant.block in ("baseline", "dwca"):
        return f"models/nets.py:{factory}", {**arguments, "block": variant.block}
    return f"models/controls.py:{factory}", {**arguments, "variant": variant.block}


def _variants(task: str) -> Mapping[str, Variant]:
    if task not in VARIANTS:
        raise UsageError(f"there is no task {task!r}", where="--task", hint=f"the tasks are {', '.join(TASKS)}")
    return VARIANTS[task]
