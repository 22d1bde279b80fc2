"""The training command from end to end, on generated data."""

from __future__ import annotations

import json

import pytest
import torch

from models.recipe import Recipe
from models.train import main, train_and_publish


def test_a_tiny_training_converges_and_is_published(generated, tmp_path):
    lines = []
    recipe = Recipe(width=0.25, epochs=8, batch=16, shift=0, block="baseline")
    card = train_and_publish(recipe, generated, tmp_path / "net.pt", lines.append)
    assert len(lines) == 8
    assert card["metrics"]["test_accuracy"] > 0.9
    assert json.loads((tmp_path / "net.card.json").read_text()) == card
    assert torch.load(tmp_path / "net.pt", weights_only=True)["arch_args"]["width"] == 0.25


def test_a_diverging_training_leaves_no_file(idx_folder, tmp_path, capsys):
    out = tmp_path / "net.pt"
    arguments = ["--lr", "1e6", "--width", "0.25", "--batch", "16", "--warmup-epochs", "0"]
    assert main([*arguments, "--data", str(idx_folder), "--out", str(out)]) == 2
    assert "the training diverged" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_absent_data_are_refused(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "net.pt")]) == 3
    captured = capsys.readouterr()
    assert "apt-get install dataset-fashion-mnist" in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--block", "se"], "invalid choice"),
        (["--mirror", "rows"], "invalid choice"),
        (["--epochs", "two"], "invalid int value"),
        (["--warmup_epochs", "1"], "unrecognized arguments"),
    ],
)
def test_a_command_line_that_cannot_be_read_ends_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_recipe_out_of_range_ends_with_2(tmp_path, capsys):
    assert main(["--epochs", "0", "--out", str(tmp_path / "net.pt")]) == 2
    assert "epochs is at least 1" in capsys.readouterr().err
