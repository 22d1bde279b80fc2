from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from planted_runs import build_data

from dwca_export.errors import InputRefusedError
from models import checkpoint, controls
from models.data import thin_objects
from models.experiment.after_export import WAYS, agreement, document, main
from models.experiment.networks import COMMON, FACTORIES
from models.experiment.one_run import RESULT, WEIGHTS
from models.experiment.what import Run

LABELS = np.array([0, 1, 1, 0])
TORCH = np.array([[3, 1], [0, 2], [1, 1.25], [0.5, 2]], np.float32)


def test_agreement_by_hand():
    ncnn = TORCH.copy()
    ncnn[2] = [1.5, 1.25]
    found = agreement(ncnn, TORCH, LABELS)
    assert (found["accuracy"], found["agree"], found["largest_error"]) == (0.5, 3, 0.5)
    assert found["largest_margin"] == 0.25
    assert found["median_margin"] == 1.75  # of 2, 2, 0.25, 1.5
    assert found["disagreements"] == [{"image": 2, "label": 1, "torch": 1, "ncnn": 0, "margin": 0.25}]


def test_full_agreement_lists_nothing():
    found = agreement(TORCH, TORCH, LABELS)
    assert (found["agree"], found["largest_margin"], found["disagreements"]) == (4, None, [])


def test_the_surest_disagreements_come_first_and_are_few():
    reference = np.stack([np.arange(1.0, 9.0), np.zeros(8)], 1).astype(np.float32)
    found = agreement(-reference, reference, np.zeros(8, np.int64))
    assert [row["margin"] for row in found["disagreements"]] == [8, 7, 6, 5, 4]
    assert found["agree"] == 0


def test_what_is_no_number_is_refused():
    with pytest.raises(InputRefusedError, match="no number"):
        agreement(np.full_like(TORCH, np.nan), TORCH, LABELS)


@pytest.fixture
def runs(tmp_path):
    """One finished classifier: untrained, but with logits that depend on the image."""
    data = build_data(tmp_path / "data", images=22)
    common = COMMON["objects"]
    arguments = {**common.arguments, "width": 0.1, "block": "dwca"}
    network = FACTORIES["models/nets.py:classifier"](**arguments)
    controls.initialise(network, 0)
    with torch.no_grad():
        network.train()(torch.from_numpy(thin_objects.normalise(thin_objects.load_objects(data, "train").images)))
        network.classifier[-1].weight *= 20
    folder = Run("objects", "dwca", 0).folder(tmp_path)
    folder.mkdir(parents=True)
    stored = checkpoint.Checkpoint(network.state_dict(), "models/nets.py:classifier", arguments, common.shape)
    (folder / WEIGHTS).write_bytes(stored.content())
    (folder / RESULT).write_text("{}")
    return tmp_path


def test_an_exported_network_answers_in_every_way(runs):
    found = document(runs, runs / "data")
    assert (list(found["objects"]), found["scenes"]) == (["dwca"], {})
    one = found["objects"]["dwca"]
    assert [(way["weights"], way["mode"]) for way in one["ways"]] == list(WAYS)
    exact = one["ways"][0]
    assert exact["agree"] == one["images"] == 22
    assert (exact["accuracy"], exact["same_bits_as"]) == (one["torch_accuracy"], None)
    assert 0 < exact["largest_error"] < one["ways"][-1]["largest_error"]


def test_without_a_finished_run_or_with_a_damaged_one_nothing_is_written(runs, capsys):
    weights = Run("objects", "dwca", 0).folder(runs) / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:1000])
    command = ["--runs", str(runs), "--data", str(runs / "data")]
    assert main(command) == 3
    assert "damaged" in capsys.readouterr().err
    weights.with_name(RESULT).unlink()
    assert main(command) == 3
    assert "no finished run" in capsys.readouterr().err
    assert not (runs / "after_export.json").exists()
    assert json.loads((runs / "data/dataset.json").read_text())["schema"] == 1
