from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pytest
from planted_runs import build_data, plant_fashion, plant_objects, plant_scenes

from models.experiment import report, what
from models.experiment.document import drift
from models.experiment.page import filled
from models.experiment.report import DOCS, gather, publish
from models.experiment.tables import tables
from models.experiment.verdict import LOOKALIKES, budget, claim, find, outcome, verdict

TEMPLATE = (DOCS / "pages/comparison.md").read_text(encoding="utf-8")
SAME = dict.fromkeys(what.VARIANTS["objects"], 0.7)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return build_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """All runs, with DWCA ahead of everything but the baseline of equal latency."""
    runs = tmp_path_factory.mktemp("runs")
    plant_objects(runs, data, {**SAME, "dwca": 0.8, "baseline_same_latency": 0.9})
    plant_scenes(runs, data, {"baseline": 3, "dwca": 7})
    plant_fashion(runs, {"baseline": 0.9, "dwca": 0.9})
    return runs


def only(runs, data, accuracies, seeds=range(5)):
    plant_objects(runs, data, accuracies, seeds)
    return gather(runs, data, seeds)


@pytest.mark.parametrize(
    ("dwca", "expected", "words"),
    [(0.8, "gain", "the claim holds here"), (0.6, "loss", "is refuted here"), (0.7, "undecided", "neither confirmed")],
)
def test_the_verdict_follows_the_numbers(data, tmp_path, dwca, expected, words):
    document = only(tmp_path, data, {"baseline": 0.7, "dwca": dwca})
    assert outcome(find(document, "objects", LOOKALIKES, "baseline")) == expected
    text = verdict(document)
    assert words in text
    others = {"the claim holds here", "is refuted here", "neither confirmed"} - {words}
    assert not [other for other in others if other in text]
    assert "equal latency it was not measured" in text


def test_what_is_decided_at_equal_width_and_lost_at_equal_latency_is_said_so(whole, data):
    text = verdict(gather(whole, data, what.SEEDS))
    assert "the claim holds here" in text
    assert "A wider baseline of equal latency is better than DWCA." in text
    assert "DWCA is better than a wider baseline of equal multiply-adds." in text
    assert re.search(r"Fashion-MNIST\*\*, DWCA against the 3x3 baseline: .*not decided", text)


@pytest.mark.parametrize("at", ["gain", "loss", "undecided", "unmeasured"])
def test_every_outcome_has_words_of_its_own(at):
    assert len({claim(at, other, "gain") for other in ("gain", "loss", "undecided", "unmeasured")}) == 4


def test_networks_that_do_not_fit_their_data_are_said_to():
    document = {
        "objects": {"variants": {"dwca": {"train_accuracy": [0.3, 0.35]}, "baseline": {"train_accuracy": [0.2]}}}
    }
    assert "20 to 35 % of their own training images" in budget(document)[0]
    assert verdict({**document, "scenes": {}}).startswith("**At this training budget no network has converged**")
    document["objects"]["variants"]["dwca"]["train_accuracy"] = [0.3, 0.9]
    assert budget(document) == budget({}) == []


def test_a_short_training_on_photographs_is_said_to_be_one_although_its_accuracy_is_high():
    document = {"fashion": {"variants": {"dwca": {"train_accuracy": [0.82, 0.84], "epochs": 2}}}}
    assert "saw every training image 2 times, and recognise 82 to 84 %" in budget(document)[0]
    document["fashion"]["variants"]["dwca"]["epochs"] = 30
    assert budget(document) == []


def costed(wider, dwca):
    rows = [("baseline_same_latency", 1000, wider), ("dwca", 160, dwca)]
    keys = ("value", "low", "high")
    return {
        "cost": {
            "rows": [
                {"task": "objects", "variant": name, "parameters": n, "latency": dict(zip(keys, latency, strict=True))}
                for name, n, latency in rows
            ]
        }
    }


def test_equal_latency_is_said_to_cost_parameters():
    assert "has 6.2 times the parameters of DWCA" in verdict(costed((3.0, 2.9, 3.1), (3.0, 2.95, 3.05)))
    assert "not equal" not in verdict(costed((3.0, 2.9, 3.1), (3.0, 2.95, 3.05)))
    assert "**not equal on this machine**" in verdict(costed((2.5, 2.4, 2.6), (3.0, 2.95, 3.05)))
    assert "times the parameters" not in verdict({})


def leads(at_2, at_64):
    """Variants whose GroupNorm leads by so much at either batch."""
    scatter = [0.0, 0.001, 0.002, -0.001, -0.002]
    values = {"dwca": 0.5 + at_64, "dwca_batchnorm": 0.5, "dwca_batch2": 0.4 + at_2, "dwca_batchnorm_batch2": 0.4}
    variants = {name: {"seeds": list(range(5)), "accuracy": [value] * 5} for name, value in values.items()}
    variants["dwca"]["accuracy"] = [0.5 + at_64 + one for one in scatter]
    return variants


@pytest.mark.parametrize(
    ("at_2", "at_64", "expected", "words"),
    [
        (0.1, 0.0, "gain", "lead is larger at batch 2"),
        (0.1, 0.1, "undecided", "is not decided"),  # a lead at batch 2 alone is no drift
        (0.0, 0.1, "loss", "lead is smaller at batch 2"),
    ],
)
def test_drift_is_judged_by_the_difference_of_the_leads(at_2, at_64, expected, words):
    found = drift(leads(at_2, at_64))
    assert outcome(found) == expected
    text = verdict({"objects": {"drift": found}})
    assert words in text
    assert "different numbers of epochs" in text


def test_drift_says_nothing_where_batch_2_learned_nothing():
    variants = leads(-0.29, 0.1)  # 11 and 40 %, then both at 11 %
    document = {"objects": {"drift": drift(variants), "variants": variants, "classes": list(range(11))}}
    assert "not answered" not in verdict(document)
    variants["dwca_batchnorm_batch2"]["accuracy"] = [0.11] * 5
    text = verdict(document)
    assert "not answered" in text
    assert "11 % at best, where chance is 9 %" in text
    assert "against the claim" not in text


def test_drift_without_one_of_the_four_is_not_measured():
    variants = leads(0.1, 0.0)
    del variants["dwca_batchnorm"]
    assert drift(variants) is None


def test_one_seed_decides_nothing_and_says_so(data, tmp_path):
    document = only(tmp_path, data, {"baseline": 0.5, "dwca": 0.9}, seeds=[0])
    assert outcome(find(document, "objects", LOOKALIKES, "baseline")) == "undecided"
    assert "one seed: no interval" in verdict(document)
    assert "(one seed: no interval)" in tables(document)["objects"]


def test_many_controls_ask_for_more_than_one(data, tmp_path):
    document = only(tmp_path, data, {"baseline": 0.70, "dwca": 0.706})
    alone = find(document, "objects", "accuracy", "baseline")
    assert alone["p_holm"] == alone["difference"]["p"]
    document = only(tmp_path, data, {**SAME, "dwca": 0.706})
    among = find(document, "objects", "accuracy", "baseline")
    assert among["p_holm"] >= among["difference"]["p"]
    assert among["difference"]["n"] == 5


def test_the_page_has_a_place_for_every_table_and_shows_it(whole, data, tmp_path):
    document = gather(whole, data, what.SEEDS)
    text = filled(TEMPLATE, document)
    made = tables(document)
    assert [name for name, table in made.items() if table not in text] == []
    assert filled(text, document) == text
    assert "**Incomplete" in text  # cost and the others are not there
    without = TEMPLATE.replace("<!-- begin: batch-2 -->", "")
    with pytest.raises(Exception, match="no place for batch-2"):
        filled(without, document)


def test_figures_are_those_of_the_runs(whole, data):
    document = gather(whole, data, what.SEEDS)
    one = document["objects"]["variants"]["dwca"]
    result = json.loads((whole / "objects/dwca/seed-3/result.json").read_text())
    assert one["accuracy"][3] == pytest.approx(result["metrics"]["test_accuracy"])
    assert one["per_class"]["pen"][3] == pytest.approx(result["metrics"]["per_class"]["pen"])
    counts = np.array(one["confusion"])
    assert counts.sum() == 5 * document["objects"]["test_images"]
    assert np.trace(counts) / counts.sum() == pytest.approx(np.mean(one["accuracy"]))
    lengths = document["objects"]["images_by_length"]
    weighted = sum(n * (one["by_length"][name][0] or 0) for name, n in lengths.items())
    assert weighted / sum(lengths.values()) == pytest.approx(one["accuracy"][0])
    scenes = document["scenes"]["variants"]
    assert np.mean(scenes["dwca"]["map50"]) > np.mean(scenes["baseline"]["map50"])
    assert scenes["dwca"]["by_length"]["8-12"] == [None] * 5  # the shapes have none so short
    assert np.mean(scenes["dwca"]["by_length"]["24-32"]) > np.mean(scenes["baseline"]["by_length"]["24-32"])


def test_runs_that_are_missing_are_named_and_nothing_is_written(whole, data, tmp_path, capsys):
    command = [str(whole), "--data", str(data), "--out", str(tmp_path), "--no-plots"]
    assert report.main(command) == 2
    said = capsys.readouterr().err
    assert "models.experiment.cost" in said
    assert list(tmp_path.iterdir()) == []
    assert report.main([*command, "--partial"]) == 0
    assert "**Incomplete: what follows lacks 3" in (tmp_path / "pages/comparison.md").read_text()
    assert report.main([*command, "--seeds", "0-5"]) == 2
    assert "objects/dwca seed 5" in capsys.readouterr().err


def test_what_was_measured_of_other_weights_or_fewer_seeds_is_missing(data, tmp_path):
    plant_objects(tmp_path, data, {"baseline": 0.7, "dwca": 0.8}, seeds=range(3))
    weights = tmp_path / "objects/dwca/seed-0/weights.pt"
    weights.write_bytes(b"trained")
    sha256 = hashlib.sha256(b"trained").hexdigest()
    export = {"schema": 1, "objects": {"dwca": {"weights_sha256": sha256}}, "scenes": {}}
    (tmp_path / "after_export.json").write_text(json.dumps(export))
    field = {"schema": 1, "variants": {"baseline": {"seeds": [0, 1, 2]}, "dwca": {"seeds": [0, 1]}}}
    (tmp_path / "receptive_field.json").write_text(json.dumps(field))
    missing = [one for one in gather(tmp_path, data, range(3))["missing"] if one.startswith("`") and " of " in one]
    assert missing == ["`python -m models.experiment.receptive_field` of dwca: all seeds"]
    weights.write_bytes(b"trained again")
    assert "`python -m models.experiment.after_export` of objects/dwca" in gather(tmp_path, data, range(3))["missing"]


def test_generated_shapes_are_never_published(whole, data, capsys):
    before = (DOCS / "pages/comparison.md").read_bytes()
    assert report.main([str(whole), "--data", str(data), "--partial"]) == 2
    assert "no data to publish" in capsys.readouterr().err
    assert (DOCS / "pages/comparison.md").read_bytes() == before


def test_the_same_figures_make_the_same_plots(whole, data, tmp_path):
    pytest.importorskip("matplotlib")
    document = gather(whole, data, what.SEEDS)
    first, second = (publish(document, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert {path.name for path in first} >= {"accuracy.svg", "length.svg", "comparison.md", "comparison.json"}


def change_result(runs, edit, seed=1):
    file = runs / f"objects/dwca/seed-{seed}/result.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


EDITS = {
    "other data": lambda one: one.update(dataset={"name": "thin-objects", "sha256": "1" * 64}),
    "another recipe": lambda one: one["recipe"].update(epochs=99),
    "another recipe of one seed": lambda one: one["recipe"].update(lr=0.5),
    "another width": lambda one: one["recipe"].update(width=0.5),
    "half a recipe": lambda one: one["recipe"].pop("momentum"),
    "another run": lambda one: one.update(seed=4),
    "other predictions": lambda one: one["metrics"]["per_class"].update(pen=0.123),
}


def damage(name, runs):
    if name in EDITS:
        change_result(runs, EDITS[name])
    elif name == "another recipe of all seeds":
        for seed in range(3):
            change_result(runs, lambda one: one["recipe"].update(lr=0.2), seed)
    elif name == "no JSON":
        (runs / "objects/dwca/seed-1/result.json").write_text("{")
    elif name == "half an archive":
        file = runs / "objects/dwca/seed-1/predictions.npz"
        file.write_bytes(file.read_bytes()[:500])
    elif name == "NaN":
        file = runs / "objects/dwca/seed-1/predictions.npz"
        with np.load(file) as old:
            logits, labels = old["logits"].copy(), old["labels"]
        logits[0, 0] = np.nan
        np.savez(file, logits=logits, labels=labels)
    else:
        rows = [{"task": "objects", "variant": "dwca", "parameters": 7}]
        (runs / "cost.json").write_text(json.dumps({"schema": 1, "rows": rows}))


FAULTS = {
    "other data": "different data",
    "another recipe": "different epochs",
    "another recipe of one seed": "different lr",
    "another recipe of all seeds": "different lr",
    "another width": "width 0.5, not 0.35",
    "half a recipe": "lacks momentum",
    "another run": "of another run",
    "other predictions": "its result says 0.123",
    "no JSON": "cannot be read",
    "half an archive": "cannot be read",
    "NaN": "no number",
    "another network": "costed were 7",
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_belong_together_is_refused(name, data, tmp_path, capsys):
    plant_objects(tmp_path, data, {"baseline": 0.7, "dwca": 0.8}, seeds=range(3))
    damage(name, tmp_path)
    out = tmp_path / "out"
    command = [str(tmp_path), "--data", str(data), "--seeds", "0-2", "--partial", "--out", str(out), "--no-plots"]
    assert report.main(command) == 3
    assert FAULTS[name] in capsys.readouterr().err
    assert not out.exists()


def test_other_data_than_those_of_the_runs_are_refused(whole, tmp_path, capsys):
    other = build_data(tmp_path / "other", images=44)
    assert report.main([str(whole), "--data", str(other), "--partial", "--out", str(tmp_path / "out")]) == 3
    assert "were trained on the data" in capsys.readouterr().err
