"""What a card or a checkpoint says of a detector travels into the bundle, or is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from planted_detector import ARCH, LABELS, SPEC, write_checkpoint

from dwca_export import manifest as module
from dwca_export.artifacts import TensorSpec
from dwca_export.errors import InputRefusedError
from dwca_export.load import load

SHAPES = [(1, 2 * values, side, side) for side in (8, 4, 2) for values in (len(LABELS), 4)]


def facts(card, *, inputs=((1, 3, 32, 32),), outputs=SHAPES):
    """As much of `Facts` as `detection` needs."""
    network = SimpleNamespace(
        inputs=tuple(TensorSpec("x", shape) for shape in inputs),
        outputs=tuple(TensorSpec("y", tuple(shape)) for shape in outputs),
    )
    return SimpleNamespace(loaded=SimpleNamespace(card=card), network=network)


CARD = {"labels": list(LABELS), "detection": SPEC.document()}


def test_it_travels_into_the_bundle(detector_bundle):
    manifest = json.loads((detector_bundle / "manifest.json").read_text())
    assert manifest["detection"] == SPEC.document()
    assert manifest["labels"] == list(LABELS)


def test_what_the_network_bears_out_is_taken():
    assert module._detection(facts(CARD)) == SPEC.document()
    assert module._detection(facts({"labels": list(LABELS)})) is None


@pytest.mark.parametrize(
    ("card", "changed"),
    [
        ({**CARD, "detection": {}}, {}),
        ({**CARD, "detection": {**SPEC.document(), "strides": [4, 8, 32]}}, {}),
        ({**CARD, "labels": ["knife"]}, {}),
        ({"detection": SPEC.document()}, {}),
        (CARD, {"outputs": SHAPES[::-1]}),
        (CARD, {"outputs": [(1, 10)]}),
        (CARD, {"inputs": ((1, 3, 32, 32), (1, 3, 32, 32))}),
        (CARD, {"inputs": ((1, 10),)}),
    ],
)
def test_what_does_not_fit_the_network_is_refused(card, changed):
    with pytest.raises(InputRefusedError) as caught:
        module._detection(facts(card, **changed))
    assert caught.value.where == "detection"


def test_a_checkpoint_says_it_without_a_card(tmp_path):
    card = {"labels": None, "detection": None}
    checkpoint = write_checkpoint(tmp_path, card=card, labels=list(LABELS), detection=SPEC.document())
    loaded = load(checkpoint, arch=ARCH)
    assert loaded.card["labels"] == list(LABELS)
    assert loaded.card["detection"] == SPEC.document()


def test_the_card_comes_before_the_checkpoint(tmp_path):
    checkpoint = write_checkpoint(tmp_path, labels=["a", "b", "c"], detection={"strides": [], "anchors": []})
    assert load(checkpoint, arch=ARCH).card["labels"] == list(LABELS)
    assert load(checkpoint, arch=ARCH).card["detection"] == SPEC.document()


@pytest.mark.parametrize("extras", [{"labels": 3, "detection": "yes"}, {"labels": [1, 2], "detection": {"boxes": 4}}])
def test_what_others_call_so_is_left_alone(tmp_path, extras):
    checkpoint = write_checkpoint(tmp_path, card={"labels": None, "detection": None}, **extras)
    assert not {"labels", "detection"} & load(checkpoint, arch=ARCH).card.keys()
