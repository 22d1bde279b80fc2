from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwca_export import manifest as module
from dwca_export.manifest import metadata

CLASSIFIER = ([[1, 3, 24, 16]], [[1, 4]])


def document(inputs, outputs, labels=()):
    return {
        "name": "net",
        "tools": {"dwca-export": "0.1.0"},
        "inputs": [{"shape": shape} for shape in inputs],
        "outputs": [{"shape": shape} for shape in outputs],
        "labels": list(labels),
    }


def test_a_classifier():
    assert metadata(document(*CLASSIFIER, labels=["a", "b", "c", "d"])) == {
        "description": "net, exported by dwca-export 0.1.0",
        "version": "0.1.0",
        "stride": 1,
        "task": "classify",
        "batch": 1,
        "imgsz": [24, 16],
        "channels": 3,
        "names": {0: "a", 1: "b", 2: "c", 3: "d"},
    }


def test_classes_without_labels_are_numbered():
    assert metadata(document(*CLASSIFIER))["names"] == {0: "class0", 1: "class1", 2: "class2", 3: "class3"}


def test_a_detector_of_raw_maps():
    maps = [[1, 6, 28, 20], [1, 12, 28, 20], [1, 6, 7, 5], [1, 12, 7, 5]]
    described = metadata(document([[1, 3, 224, 160]], maps))
    assert (described["task"], described["stride"], described["imgsz"]) == ("detect", 32, [224, 160])
    assert described["names"]  # Ultralytics takes no empty list of names


def test_a_detector_of_candidates_tells_its_classes():
    described = metadata(document([[1, 3, 640, 640]], [[1, 84, 8400]]))
    assert len(described["names"]) == 80


def test_one_channel():
    assert metadata(document([[1, 1, 28, 28]], [[1, 10]]))["channels"] == 1


def test_inputs_that_are_no_images():
    assert metadata(document([[1, 7]], [[1, 4]]))["imgsz"] == [7, 7]
    assert metadata(document([[1, 7], [1, 3, 9, 8]], [[1, 4]]))["imgsz"] == [9, 8]


sides = st.integers(1, 400)


@given(sides, sides, st.integers(1, 64))
def test_the_stride_does_not_round_the_size_away(height, width, stride):
    """The loader makes the size a multiple of the stride, and the network takes one size only."""
    output = [1, 8, -(-height // stride), -(-width // stride)]
    described = metadata(document([[1, 3, height, width]], [output]))
    assert height % described["stride"] == width % described["stride"] == 0


class Card:
    """As much of `Facts` as the labels need."""

    def __init__(self, labels, outputs):
        self.loaded = type("Loaded", (), {"card": {"labels": labels}})
        self.network = type("Network", (), {"outputs": [type("Spec", (), {"shape": shape}) for shape in outputs]})


@pytest.mark.parametrize(
    ("labels", "outputs", "expected"),
    [
        (["a", "b"], [(1, 2)], ["a", "b"]),
        ([1, 2], [(1, 2)], ["1", "2"]),
        (["a", "b"], [(1, 3)], []),
        ("ab", [(1, 2)], []),
        (["a", "b"], [(1, 84, 8400)], ["a", "b"]),
        ([], [(1, 2)], []),
    ],
)
def test_labels_are_taken_if_they_fit(labels, outputs, expected):
    assert module._labels(Card(labels, outputs)) == expected


def test_versions_of_packages_that_bear_another_name(monkeypatch):
    def unknown(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version_of", unknown)
    assert module._version("numpy") == np.__version__
    assert module._version("dwca-export") == "0.1.0"
