"""The tables of the comparison: that only what is stated differs between its variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from dwca_export.errors import UsageError
from models import controls
from models.experiment import what
from models.experiment.equal_cost import multiply_adds, width_of_equal_cost
from models.experiment.networks import COMMON, untrained
from models.experiment.what import RECIPES, VARIANTS, Run, recipe_of, runs_of, variant_of
from models.nets import classifier, detector

OBJECT, ARGUMENTS = COMMON["objects"].shape, COMMON["objects"].arguments
SMALL_BATCHES = {"dwca_batch2", "dwca_batchnorm_batch2"}


def build(name):
    return untrained("objects", variant_of("objects", name))


def test_every_task_has_a_recipe_and_compares_the_same_two():
    assert list(RECIPES) == list(VARIANTS) == ["objects", "scenes", "fashion"]
    for variants in VARIANTS.values():
        assert {"baseline", "dwca"} <= variants.keys()


def test_every_block_is_compared():
    assert {variant.block for variant in VARIANTS["objects"].values()} == set(controls.BLOCKS)


@pytest.mark.parametrize("task", VARIANTS)
def test_recipes_of_one_seed_differ_in_block_width_and_batch_alone(task):
    for name in VARIANTS[task]:
        ours, baseline = (vars(recipe_of(Run(task, variant, 1))) for variant in (name, "baseline"))
        different = {field for field in ours if ours[field] != baseline[field]}
        assert different <= {"block", "width"} | ({"batch", "lr", "epochs"} if name in SMALL_BATCHES else set())


def test_the_learning_rate_follows_the_batch():
    small, large = (recipe_of(Run("objects", name, 0), lr=0.2) for name in ("dwca_batch2", "dwca"))
    assert small.batch == 2
    assert small.lr / small.batch == pytest.approx(large.lr / large.batch)


def test_changes_hold_for_all_variants():
    assert {recipe_of(run, epochs=3).epochs for run in runs_of("objects", [], [0])} == {3}
    with pytest.raises(UsageError, match="epochs=0 cannot be"):
        recipe_of(Run("objects", "dwca", 0), epochs=0)


@pytest.mark.parametrize("name", VARIANTS["objects"])
def test_networks_are_built_from_what_the_checkpoint_will_say(name):
    network = build(name)
    assert sum(p.numel() for p in network.parameters()) > 100_000


def test_the_widened_baseline_does_as_many_multiply_adds_as_dwca():
    dwca, widened, baseline = (
        multiply_adds(build(name), OBJECT) for name in ("dwca", "baseline_same_macs", "baseline")
    )
    assert widened / dwca == pytest.approx(1, abs=0.02)
    assert baseline / dwca < 0.9


def test_the_width_of_equal_cost_is_searched_for():
    target = multiply_adds(build("dwca"), OBJECT)
    width, ratio = width_of_equal_cost(
        lambda width: classifier(**ARGUMENTS, block="baseline", width=width, channel_step=4),
        lambda network: multiply_adds(network, OBJECT),
        target,
        [0.36, 0.4, what.SAME_MACS.width, 0.46],
    )
    assert width == what.SAME_MACS.width
    assert ratio == pytest.approx(1, abs=0.02)


def test_multiply_adds_are_those_of_the_published_networks():
    network = classifier().train()
    before = network.state_dict()["trunk.stem.1.running_mean"].clone()
    assert multiply_adds(network, (1, 3, 224, 224)) == pytest.approx(50e6, rel=0.03)
    assert network.training
    assert (network.state_dict()["trunk.stem.1.running_mean"] == before).all()
    assert multiply_adds(detector(), (1, 3, 224, 224)) == pytest.approx(60e6, rel=0.03)


def test_runs_go_seed_by_seed():
    runs = runs_of("fashion", [], [0, 1])
    assert [str(run) for run in runs] == [
        "fashion/baseline/seed-0",
        "fashion/dwca/seed-0",
        "fashion/baseline/seed-1",
        "fashion/dwca/seed-1",
    ]
    assert runs[1].folder(Path("runs")) == Path("runs/fashion/dwca/seed-0")


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match="there is no variant 'se5x5'") as caught:
        runs_of("scenes", ["se5x5"], [0])
    assert caught.value.hint == "its variants are baseline, dwca"
    with pytest.raises(UsageError, match="there is no task 'knives'"):
        runs_of("knives", [], [0])
