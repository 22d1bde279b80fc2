"""One run: what its folder holds, that it repeats, and that a failure leaves no result."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from dwca_export.errors import InputRefusedError, UsageError
from models import checkpoint
from models.classification import logits_of
from models.data import shapes, thin_objects
from models.detection import scenes as detection
from models.experiment.one_run import build, carry_out, finished, take_trunk
from models.experiment.tasks import IDENTIFY, OPEN
from models.experiment.tasks.objects import NORMALISATION
from models.experiment.what import Run, pretraining_of, recipe_of


@pytest.fixture(scope="session")
def thin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thin") / "set"
    shapes.write(folder, objects=88, scenes=40)
    return folder


def execute(run, data, runs, report=lambda epochs: None, **changes):
    """Carry out a run, after the one whose trunk it begins with."""
    pretraining = pretraining_of(run)
    if pretraining and not (pretraining.folder(runs) / "result.json").exists():
        execute(pretraining, data, runs, epochs=1)
    recipe = recipe_of(run, **{"epochs": 2, "lr": 0.02, **changes})
    return carry_out(run, recipe, IDENTIFY[run.task](data), data, runs, "cpu", report)


BASELINE = Run("objects", "baseline", 0)
FILES = ["log.csv", "predictions.npz", "result.json", "weights.pt"]


def files(folder):
    return sorted(file.name for file in folder.iterdir())


def logits(run, runs):
    with np.load(run.folder(runs) / "predictions.npz") as arrays:
        return arrays["logits"], arrays["labels"]


def test_the_folder_of_a_classifier(thin, tmp_path):
    result = execute(BASELINE, thin, tmp_path)
    folder = BASELINE.folder(tmp_path)
    assert files(folder) == FILES
    assert json.loads((folder / "result.json").read_text()) == result
    assert (result["schema"], result["task"], result["variant"], result["seed"]) == (1, "objects", "baseline", 0)
    assert result["dataset"] == {"name": "generated-shapes", "sha256": thin_objects.dataset_sha256(thin)}
    found, labels = logits(BASELINE, tmp_path)
    assert found.dtype == np.float32
    right = found.argmax(1) == labels
    assert np.array_equal(labels, thin_objects.load_objects(thin, "test").labels)
    assert result["metrics"]["test_accuracy"] == pytest.approx(right.mean())  # classes are equally frequent
    assert list(result["metrics"]["per_class"]) == list(thin_objects.CLASSES)
    with (folder / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["validation_accuracy"]) == result["metrics"]["validation_accuracy"]


def test_the_weights_are_those_that_the_predictions_came_from(thin, tmp_path):
    result = execute(BASELINE, thin, tmp_path)
    stored = checkpoint.read(BASELINE.folder(tmp_path) / "weights.pt")
    assert (stored.arch, stored.arch_args, stored.shape) == (result["arch"], result["arch_args"], (1, 3, 64, 64))
    assert stored.extras == {"labels": list(thin_objects.CLASSES)}
    network = stored.network()
    assert sum(p.numel() for p in network.parameters()) == result["parameters"]
    images = thin_objects.load_objects(thin, "test").images[:16]
    expected, _ = logits(BASELINE, tmp_path)
    found = logits_of(network, images, NORMALISATION)
    np.testing.assert_allclose(found, expected[:16], rtol=1e-4, atol=1e-5)


def test_the_folder_of_a_detector(thin, tmp_path):
    run = Run("scenes", "dwca", 1)
    result = execute(run, thin, tmp_path)
    folder = run.folder(tmp_path)
    assert files(folder) == FILES
    assert 0 <= result["metrics"]["test_map50"] <= 1
    stored = checkpoint.read(folder / "weights.pt")
    test = thin_objects.load_scenes(thin, "test")
    spec = detection.spec_for(thin_objects.load_scenes(thin, "train"))
    assert stored.extras == {"labels": list(thin_objects.CLASSES), "detection": spec.document()}
    again = detection.predict(stored.network(), test.images, spec)
    with np.load(folder / "predictions.npz") as arrays:
        assert set(arrays) == {"boxes", "scores", "labels", "scene"}
        # Of the best boxes: among the many, rounding decides which are just above the lowest score.
        for name in ("scores", "labels"):
            found = getattr(again, name)[np.argsort(-again.scores)[:20]]
            kept = arrays[name][np.argsort(-arrays["scores"])[:20]]
            np.testing.assert_allclose(np.sort(found), np.sort(kept), rtol=1e-4)


def test_a_detector_begins_with_the_trunk_of_its_classifier(thin, tmp_path):
    classifier, detector = Run("objects", "baseline", 0), Run("scenes", "baseline", 0)
    execute(classifier, thin, tmp_path, epochs=1)
    stored = checkpoint.read(classifier.folder(tmp_path) / "weights.pt").state_dict
    network, _, _ = build(detector, OPEN["scenes"](thin, "cpu"))
    heads = {name: value.clone() for name, value in network.heads.state_dict().items()}
    take_trunk(network, classifier, tmp_path)
    for name, value in network.trunk.state_dict().items():
        assert torch.equal(value, stored[f"trunk.{name}"]), name
    assert all(torch.equal(value, heads[name]) for name, value in network.heads.state_dict().items())


def test_a_detector_waits_for_its_classifier(thin, tmp_path):
    run = Run("scenes", "baseline", 0)
    with pytest.raises(UsageError, match="objects/baseline/seed-0 is not finished") as caught:
        carry_out(run, recipe_of(run), IDENTIFY["scenes"](thin), thin, tmp_path, "cpu", lambda epochs: None)
    assert caught.value.hint == "python -m models.experiment.run --task objects --variant baseline --seeds 0"
    assert files(run.folder(tmp_path)) == []


def test_a_trunk_of_another_network_is_refused(thin, tmp_path):
    execute(Run("objects", "dwca", 0), thin, tmp_path, epochs=1)
    network, _, _ = build(Run("scenes", "baseline", 0), OPEN["scenes"](thin, "cpu"))
    with pytest.raises(InputRefusedError, match="its trunk is another one"):
        take_trunk(network, Run("objects", "dwca", 0), tmp_path)


def test_scenes_move_with_their_boxes(thin):
    task = OPEN["scenes"](thin, "cpu").training
    recipe = recipe_of(Run("scenes", "dwca", 0))
    generator = torch.Generator().manual_seed(0)
    inputs, targets = task.batch(torch.arange(12), recipe, generator)
    assert inputs.shape == (12, 3, 96, 96)
    assert targets.classes.shape == (12, 3 * (12**2 + 6**2 + 3**2))
    found = [set(row[row >= 0].tolist()) for row in targets.classes]
    _, labels = detection.boxes_by_image(thin_objects.load_scenes(thin, "train"))
    assert all(ours <= set(theirs.tolist()) for ours, theirs in zip(found, labels, strict=False))
    assert sum(map(bool, found)) > 8


def test_fashion_keeps_images_for_validation(idx_folder):
    dataset = IDENTIFY["fashion"](idx_folder)
    assert dataset["name"] == "Fashion-MNIST"
    assert len(dataset["sha256"]) == 64
    task = OPEN["fashion"](idx_folder, "cpu")
    assert task.training.train_images == 55_000
    network, _, arguments = build(Run("fashion", "baseline", 0), task)
    assert (arguments["num_classes"], arguments["in_channels"]) == (10, 1)
    inputs, labels = task.training.batch(
        torch.arange(4), recipe_of(Run("fashion", "baseline", 0)), torch.Generator().manual_seed(0)
    )
    assert network.eval()(inputs).shape == (4, 10)
    assert labels.tolist() == [0, 1, 2, 3]


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("run", [Run("objects", "dwca", 0), Run("scenes", "baseline", 0)], ids=str)
def test_an_interrupted_run_ends_with_the_same_result(thin, tmp_path, run):
    def stop(epochs):
        raise StoppedError

    execute(run, thin, tmp_path / "whole")
    with pytest.raises(StoppedError):
        execute(run, thin, tmp_path / "cut", stop)
    assert files(run.folder(tmp_path / "cut")) == ["log.csv", "state.pt"]
    seen = []
    execute(run, thin, tmp_path / "cut", lambda epochs: seen.append(len(epochs)))
    assert seen == [1, 2]
    assert files(run.folder(tmp_path / "cut")) == FILES
    whole, cut = (run.folder(tmp_path / name) for name in ("whole", "cut"))
    assert (whole / "weights.pt").read_bytes() == (cut / "weights.pt").read_bytes()
    ours, theirs = (json.loads((folder / "result.json").read_text()) for folder in (whole, cut))
    assert ours["metrics"] == theirs["metrics"]


def test_a_diverging_run_leaves_neither_weights_nor_result(thin, tmp_path):
    with pytest.raises(UsageError, match="the training diverged"):
        execute(BASELINE, thin, tmp_path, lr=1e30, warmup_epochs=0, epochs=4)
    assert set(files(BASELINE.folder(tmp_path))) <= {"log.csv"}


def test_a_run_that_diverges_later_does_not_keep_its_state(thin, tmp_path):
    def stop(epochs):
        raise StoppedError

    with pytest.raises(StoppedError):
        execute(BASELINE, thin, tmp_path, stop)
    file = BASELINE.folder(tmp_path) / "state.pt"
    kept = torch.load(file, weights_only=True)
    kept["network"]["head.0.weight"].fill_(float("nan"))
    torch.save(kept, file)
    with pytest.raises(UsageError, match="the training diverged") as caught:
        execute(BASELINE, thin, tmp_path)
    assert caught.value.where == "epoch 2"
    assert files(BASELINE.folder(tmp_path)) == ["log.csv"]


def test_a_state_of_another_recipe_is_not_continued(thin, tmp_path):
    def stop(epochs):
        raise StoppedError

    with pytest.raises(StoppedError):
        execute(BASELINE, thin, tmp_path, stop)
    with pytest.raises(InputRefusedError, match=r"recipe: lr=0\.02, not 0\.03"):
        execute(BASELINE, thin, tmp_path, lr=0.03)


def test_a_damaged_state_is_refused_and_named(thin, tmp_path):
    folder = BASELINE.folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "state.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputRefusedError, match="this kept training cannot be read"):
        execute(BASELINE, thin, tmp_path)
    assert files(folder) == ["state.pt"]


def test_a_folder_that_cannot_be_written_is_an_error(thin, tmp_path):
    (tmp_path / "objects").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written") as caught:
        execute(BASELINE, thin, tmp_path)
    assert "--runs" in caught.value.hint


def recorded(tmp_path, text):
    file = BASELINE.folder(tmp_path) / "result.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)


DATASET = {"name": "n", "sha256": "s"}
RECIPE = recipe_of(BASELINE)


def test_a_run_is_finished_when_its_result_is_there(tmp_path):
    assert finished(BASELINE, RECIPE, DATASET, tmp_path) is None
    recorded(tmp_path, json.dumps({"recipe": vars(RECIPE), "dataset": DATASET, "metrics": {}}))
    assert finished(BASELINE, RECIPE, DATASET, tmp_path)["metrics"] == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"recipe": {**vars(RECIPE), "epochs": 99}, "dataset": DATASET}, r"of another recipe \(epochs\)"),
        ({"recipe": vars(RECIPE), "dataset": {**DATASET, "sha256": "t"}}, r"of another dataset \(sha256\)"),
        ({"recipe": vars(RECIPE)}, "cannot be read"),
        ({"recipe": 5, "dataset": DATASET}, "cannot be read"),
        ([], "cannot be read"),
    ],
)
def test_a_result_of_something_else_is_refused(tmp_path, content, message):
    recorded(tmp_path, json.dumps(content))
    with pytest.raises(InputRefusedError, match=message):
        finished(BASELINE, RECIPE, DATASET, tmp_path)


def test_a_result_that_is_cut_off_is_refused(tmp_path):
    recorded(tmp_path, '{"recipe": {')
    with pytest.raises(InputRefusedError, match="cannot be read"):
        finished(BASELINE, RECIPE, DATASET, tmp_path)
