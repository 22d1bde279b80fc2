"""Finished runs put into the zoo: measured again on the written file, or refused where a run contradicts itself."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch

from dwca_export.detect.spec import DetectorSpec
from dwca_export.errors import InputRefusedError, UsageError
from models import checkpoint, publish, samples
from models.cards import licences
from models.classification import Normalisation, logits_of
from models.data import shapes, thin_objects
from models.detection import scenes as detection
from models.detection.anchors import STRIDES
from models.detection.average_precision import mean_average_precision
from models.experiment import what
from models.experiment.one_run import carry_out
from models.experiment.tasks import IDENTIFY

NAMES = {"objects": "thin_objects_dwca", "scenes": "thin_detector_dwca"}
NORMALISATION = Normalisation(thin_objects.MEAN, thin_objects.STD)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A set of generated shapes."""
    folder = tmp_path_factory.mktemp("shapes") / "set"
    shapes.write(folder, objects=66, scenes=32)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory, drawn):
    """The folders of two runs of one epoch each."""
    torch.set_num_threads(1)
    runs = tmp_path_factory.mktemp("runs")
    folders = {}
    for task in NAMES:
        run = what.Run(task, "dwca", 0)
        recipe = what.recipe_of(run, epochs=1, batch=16, lr=0.01)
        carry_out(run, recipe, IDENTIFY[task](drawn), drawn, runs, "cpu", lambda epochs: None)
        folders[task] = run.folder(runs)
    return folders


@pytest.fixture(scope="session")
def cards(tmp_path_factory, drawn, finished):
    """The zoo that both were published to, and their cards."""
    zoo = tmp_path_factory.mktemp("zoo")
    return zoo, {task: publish.publish_run(finished[task], NAMES[task], zoo, drawn) for task in NAMES}


@pytest.fixture
def objects(finished, tmp_path):
    """A copy of the classifier's run, to be damaged."""
    return shutil.copytree(finished["objects"], tmp_path / "objects")


@pytest.fixture
def scenes(finished, tmp_path):
    """A copy of the detector's run, to be damaged."""
    return shutil.copytree(finished["scenes"], tmp_path / "scenes")


@pytest.fixture
def zoo(tmp_path):
    """A zoo with an older network of the name."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "net.pt").write_bytes(b"older")
    (folder / "net.card.json").write_text("older card")
    return folder


@pytest.fixture
def refused(zoo, drawn):
    """`refused(run, kind, message)`: it is not published, and the older network stays."""

    def call(run, kind, message, data=drawn, name="net"):
        with pytest.raises(kind, match=message) as caught:
            publish.publish_run(run, name, zoo, data)
        assert caught.value.hint
        assert sorted(path.name for path in zoo.iterdir()) == ["net.card.json", "net.pt"]
        assert (zoo / "net.pt").read_bytes() == b"older"
        assert (zoo / "net.card.json").read_text() == "older card"
        return caught.value

    return call


def change_result(run, **changes):
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, **changes}))


def change_weights(run, change):
    """Write the checkpoint anew after `change` was applied to it as a dict."""
    content = torch.load(run / "weights.pt", weights_only=True)
    change(content)
    torch.save(content, run / "weights.pt")


def change_predictions(run, change):
    with np.load(run / "predictions.npz") as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(run / "predictions.npz", **arrays)


# --- what is written


@pytest.mark.parametrize("task", NAMES)
def test_the_card_describes_the_file(cards, finished, drawn, task):
    zoo, written = cards
    file = zoo / f"{NAMES[task]}.pt"
    card = json.loads(publish.card_file(file).read_text())
    assert card == written[task]
    assert card["name"] == NAMES[task]
    assert card["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    result = json.loads((finished[task] / "result.json").read_text())
    assert (card["arch"], card["arch_args"], card["parameters"]) == (
        result["arch"],
        result["arch_args"],
        result["parameters"],
    )
    assert card["recipe"].items() >= {**result["recipe"], "seed": 0}.items()
    assert card["data"]["sha256"] == thin_objects.dataset_sha256(drawn)
    assert card["labels"] == list(thin_objects.CLASSES)
    assert card["licence"] == "Apache-2.0"
    assert (card["input"]["mean"], card["input"]["std"]) == ([0.5] * 3, [0.25] * 3)


@pytest.mark.parametrize("task", NAMES)
def test_the_file_holds_the_weights_of_the_run(cards, finished, task):
    ours, theirs = checkpoint.read(cards[0] / f"{NAMES[task]}.pt"), checkpoint.read(finished[task] / "weights.pt")
    assert ours.state_dict.keys() == theirs.state_dict.keys()
    assert all(torch.equal(value, theirs.state_dict[name]) for name, value in ours.state_dict.items())
    assert (ours.arch, ours.arch_args, ours.shape, ours.extras) == (
        theirs.arch,
        theirs.arch_args,
        theirs.shape,
        theirs.extras,
    )


def test_a_classifier_is_measured_on_the_file(cards, drawn):
    zoo, written = cards
    test = thin_objects.load_objects(drawn, "test")
    logits = logits_of(publish.load(zoo / "thin_objects_dwca.pt"), test.images, NORMALISATION)
    right = logits.argmax(1) == test.labels
    metrics = written["objects"]["metrics"]
    assert metrics["test_correct"] == right.sum()
    shares = [right[test.labels == label].mean() for label in range(len(thin_objects.CLASSES))]
    assert metrics["test_accuracy"] == round(float(np.mean(shares)), 4)
    assert list(metrics["test_accuracy_per_class"].values()) == [round(float(share), 4) for share in shares]
    assert metrics["samples_correct"] == right[samples.spread(len(right))].sum()


def test_a_detector_is_measured_on_the_file(cards, drawn):
    zoo, written = cards
    card = written["scenes"]
    test, spec = thin_objects.load_scenes(drawn, "test"), DetectorSpec.from_document(card["detection"])
    found = detection.predict(publish.load(zoo / "thin_detector_dwca.pt"), test.images, spec)
    precision = mean_average_precision(found, detection.truth(test), len(thin_objects.CLASSES))
    assert card["metrics"]["test_map50"] == round(precision, 4)
    assert card["metrics"]["samples_boxes"] == len(test.labels)  # there are fewer scenes than samples of them
    assert card["detection"]["strides"] == list(STRIDES)
    assert card["detection"] == torch.load(zoo / "thin_detector_dwca.pt", weights_only=True)["detection"]


def test_what_the_run_says_of_its_metrics_is_not_copied(objects, zoo, drawn, cards):
    change_result(objects, metrics={"test_accuracy": 0.99, "per_class": {}})
    assert publish.publish_run(objects, "net", zoo, drawn)["metrics"] == cards[1]["objects"]["metrics"]


def test_the_same_run_gives_the_same_bytes(finished, tmp_path, drawn, cards):
    publish.publish_run(finished["objects"], NAMES["objects"], tmp_path, drawn)
    for suffix in (".pt", ".card.json"):
        name = f"{NAMES['objects']}{suffix}"
        assert (tmp_path / name).read_bytes() == (cards[0] / name).read_bytes()


def test_the_command_publishes(finished, zoo, drawn, capsys):
    assert publish.main([str(finished["objects"]), "--name", "net", "--zoo", str(zoo), "--data", str(drawn)]) == 0
    assert "test_accuracy" in capsys.readouterr().out
    assert json.loads((zoo / "net.card.json").read_text())["name"] == "net"


# --- what is refused


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Net", "1net", "net.pt", "a b", "net\n"])
def test_a_name_that_cannot_be_one(refused, finished, name):
    assert refused(finished["objects"], UsageError, "is no name", name=name).where == "--name"


def test_a_run_that_is_not_finished(refused, objects):
    (objects / "result.json").unlink()
    refused(objects, UsageError, "there is no finished run")


def test_a_folder_that_is_not_there(refused, tmp_path):
    refused(tmp_path / "absent", UsageError, "there is no finished run")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": 2}'])
def test_a_damaged_result(refused, objects, text):
    (objects / "result.json").write_text(text)
    refused(objects, InputRefusedError, r"cannot be read|is not of schema")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "songs"}, "its task is 'songs'"),
        ({"variant": "se5x5"}, "its variant is 'se5x5'"),
        ({"variant": "baseline"}, "it holds models/nets.py:classifier of 'dwca'"),
        ({"task": "scenes"}, "it holds models/nets.py:classifier of 'dwca'"),
        ({"parameters": 7}, "the run says 7"),
        ({"seed": "0"}, "it lacks seed"),
        ({"recipe": None}, "it lacks recipe"),
    ],
)
def test_a_result_of_another_run(refused, objects, changes, message):
    change_result(objects, **changes)
    refused(objects, InputRefusedError, message)


def test_data_of_another_hash(refused, finished, tmp_path):
    shapes.write(tmp_path / "other", objects=66, scenes=32, seed=1)
    refused(finished["objects"], InputRefusedError, "the data here are", data=tmp_path / "other")


def test_data_that_are_not_there(refused, finished, tmp_path):
    refused(finished["objects"], InputRefusedError, "there is no built data set", data=tmp_path / "absent")


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"x" * 99]
)
def test_damaged_weights(refused, objects, damage):
    file = objects / "weights.pt"
    file.write_bytes(damage(file.read_bytes()))
    refused(objects, InputRefusedError, "it is damaged, or no checkpoint")


def test_weights_that_are_no_checkpoint(refused, objects):
    torch.save({"state_dict": {}}, objects / "weights.pt")
    refused(objects, InputRefusedError, "it lacks arch, arch_args, shape")


def test_weights_that_would_run_code(refused, objects, tmp_path):
    class Planted:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    torch.save({"state_dict": Planted()}, objects / "weights.pt")
    refused(objects, InputRefusedError, "it is damaged, or no checkpoint")
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_width(refused, objects):
    change_weights(objects, lambda content: content["arch_args"].update(width=0.5))
    refused(objects, InputRefusedError, "its weights do not fit")


def test_weights_that_do_something_else_than_the_run_recorded(refused, objects):
    change_weights(objects, lambda content: content["state_dict"]["classifier.3.weight"].neg_())
    refused(objects, InputRefusedError, "gives other logits")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_recorded_logits_that_are_no_numbers(refused, objects, value):
    change_predictions(objects, lambda arrays: arrays["logits"].fill(value))
    refused(objects, InputRefusedError, "its logits are no finite numbers")


def test_predictions_of_another_test_part(refused, objects):
    change_predictions(objects, lambda arrays: arrays.update(logits=arrays["logits"][1:]))
    refused(objects, InputRefusedError, "it has logits")


def test_predictions_without_an_array(refused, objects):
    change_predictions(objects, lambda arrays: arrays.pop("logits"))
    refused(objects, InputRefusedError, "it lacks the array 'logits'")


def test_absent_predictions(refused, objects):
    (objects / "predictions.npz").unlink()
    refused(objects, InputRefusedError, "cannot be read")


def test_a_detector_that_finds_something_else_than_the_run_recorded(refused, scenes):
    change_weights(scenes, lambda content: content["state_dict"]["heads.0.boxes.bias"].add_(1))
    refused(scenes, InputRefusedError, r"of its \d+ boxes weights.pt gives")


def test_a_detector_that_finds_more_than_the_run_recorded(refused, scenes):
    change_predictions(scenes, lambda arrays: arrays.update({name: array[:0] for name, array in arrays.items()}))
    refused(scenes, InputRefusedError, "of its 0 boxes")


def test_a_detector_without_its_anchors(refused, scenes):
    change_weights(scenes, lambda content: content.pop("detection"))
    refused(scenes, InputRefusedError, "it is no JSON object")


def test_a_checkpoint_that_is_too_large(refused, finished, monkeypatch):
    monkeypatch.setattr(publish, "MOST_BYTES", 1000)
    refused(finished["objects"], InputRefusedError, r"the checkpoint has \d")


def test_a_zoo_that_is_not_there(finished, tmp_path, drawn, capsys):
    words = [str(finished["objects"]), "--name", "net", "--zoo", str(tmp_path / "absent"), "--data", str(drawn)]
    assert publish.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "cannot be written" in captured.err


# --- credits


def test_licences_are_counted():
    sets = [{"licence": "MIT"}, {"licence": "Apache-2.0"}, {"licence": "MIT"}]
    photographs = [{"file": "a.png", "credit": "NASA; public domain"}, {"credit": "A; B; CC0-1.0"}]
    assert licences(sets) == "icon sets: Apache-2.0 (1), MIT (2)"
    expected = "icon sets: Apache-2.0 (1), MIT (2); photographs: CC0-1.0 (1), public domain (1)"
    assert licences(sets + photographs) == expected
    assert licences([]) == "none"


@pytest.mark.parametrize("credited", [[{"licence": ""}], [{}], ["MIT"], None, [{"licence": 7}], [{"credit": "NASA; "}]])
def test_a_credit_without_a_licence_is_refused(credited):
    with pytest.raises(InputRefusedError, match="without a licence"):
        licences(credited)
