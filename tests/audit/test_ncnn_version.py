from __future__ import annotations

import pytest

from dwca_export.audit.ncnn_version import check_ncnn, installed, require_known_layers
from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.ncnn.param import Layer, Param


def manifest(version):
    return {"tools": {"ncnn": version}}


def test_the_same_version_needs_no_note():
    assert check_ncnn(manifest(installed())) == ()


@pytest.mark.parametrize(
    ("here", "made"),
    [("1.0.20260102", "1.0.20260101"), ("1.1.20200101", "1.0.20260101"), ("1.0.20260101.1", "1.0.20260101")],
)
def test_a_newer_version_is_a_note(here, made):
    (note,) = check_ncnn(manifest(made), here=here)
    assert note == f"ncnn {here} is newer than {made}, which the bundle was made with"


@pytest.mark.parametrize(("here", "made"), [("1.0.20251231", "1.0.20260101"), ("0.9.20270101", "1.0.20260101")])
def test_an_older_version_is_refused(here, made):
    with pytest.raises(InputRefusedError, match="is older than") as caught:
        check_ncnn(manifest(made), here=here)
    assert "--allow-older-ncnn" in caught.value.hint
    (note,) = check_ncnn(manifest(made), here=here, allow_older=True)
    assert "only the recorded samples are compared" in note


@pytest.mark.parametrize(("here", "made"), [("unknown", "1.0.20260101"), ("1.0.20260101", "master")])
def test_versions_without_numbers_cannot_be_ordered(here, made):
    (note,) = check_ncnn(manifest(made), here=here)
    assert "cannot be ordered" in note


def test_a_manifest_without_ncnn():
    (note,) = check_ncnn({"tools": {}})
    assert "cannot be ordered" in note


def test_layers_that_ncnn_does_not_have_are_named():
    known = (Layer("Input", "in0", (), ("in0",)), Layer("ReLU", "relu", ("in0",), ("a",)))
    require_known_layers(Param(known), "model")
    with pytest.raises(ConversionError) as caught:
        require_known_layers(Param((*known, Layer("Warp", "warp_1", ("a",), ("out0",)))), "model")
    assert "does not have the layers Warp (warp_1)" in caught.value.what
    assert caught.value.where == "model"
