from __future__ import annotations

import json

import numpy as np
import pytest
from hand_made import noise
from tiny_target import SHAPE, bundle, param

from dwca_export.bench.target import open_target
from dwca_export.errors import ConversionError, InputRefusedError, UsageError

WHOLE_SHAPE = (1, *SHAPE)


def edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_bundle_brings_its_recorded_inputs_and_outputs(tmp_path):
    target = open_target(bundle(tmp_path))
    assert target.shapes == (WHOLE_SHAPE,)
    assert np.array_equal(target.samples[0]["in0"], noise(*SHAPE))
    assert target.expected[1]["out0"].shape == (10,)
    assert list(target.bins) == ["fp32"]


def test_bare_files_get_noise(tmp_path):
    target = open_target(param(tmp_path), [WHOLE_SHAPE])
    assert target.samples[0]["in0"].shape == SHAPE
    assert target.samples[0]["in0"].dtype == np.float32
    assert target.expected == ()
    assert target.origin == "seeded noise"
    again = open_target(param(tmp_path), [WHOLE_SHAPE])
    assert np.array_equal(target.samples[0]["in0"], again.samples[0]["in0"])


def test_a_folder_with_one_param_will_do(tmp_path):
    param(tmp_path)
    assert open_target(tmp_path, [WHOLE_SHAPE]).name == "net"


def test_a_param_may_tell_its_shape(tmp_path):
    assert open_target(param(tmp_path, hints=True)).shapes == (WHOLE_SHAPE,)


def test_a_bundle_for_every_size_takes_others(tmp_path):
    folder = bundle(tmp_path)
    edit_manifest(folder, any_size=True, size_step=4)
    target = open_target(folder, [(1, 3, 24, 16)])
    assert target.samples[0]["in0"].shape == (3, 24, 16)
    assert target.expected == ()
    assert open_target(folder, [WHOLE_SHAPE]).expected


@pytest.mark.parametrize(
    ("any_size", "shapes"),
    [
        (False, [(1, 3, 24, 16)]),
        (True, [(1, 3, 22, 12)]),  # not in steps of 4
        (True, [(1, 4, 20, 12)]),
        (True, [(1, 3, 20)]),
        (True, [WHOLE_SHAPE, WHOLE_SHAPE]),
    ],
)
def test_shapes_that_a_bundle_was_not_made_for_are_refused(tmp_path, any_size, shapes):
    folder = bundle(tmp_path)
    edit_manifest(folder, any_size=any_size, size_step=4)
    with pytest.raises(UsageError, match="the bundle was made for"):
        open_target(folder, shapes)


@pytest.mark.parametrize(
    ("shapes", "what"),
    [
        ([], "does not tell the shape"),
        ([WHOLE_SHAPE, WHOLE_SHAPE], "2 shapes for 1 inputs"),
        ([(2, 3, 20, 12)], "batch of 2"),
        ([(1, 3, 20000, 20000)], r"more than 2\*\*28"),
        ([(1, 3, 0, 12)], "no element"),
    ],
)
def test_wrong_shapes_of_bare_files_are_refused(tmp_path, shapes, what):
    with pytest.raises(UsageError, match=what):
        open_target(param(tmp_path), shapes)


def damaged(tmp_path, old, new):
    path = param(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("7767517", "1234567", "no ncnn param"),
        ("Sigmoid ", "Planted ", "does not have the layers Planted"),
        ("2=160\n", "2=160", "cut off"),
        ("1 1 a b", "1 1 x b", "unknown"),
    ],
)
def test_a_damaged_param_is_refused(tmp_path, old, new, what):
    with pytest.raises(ConversionError, match=what) as caught:
        open_target(damaged(tmp_path, old, new), [WHOLE_SHAPE])
    assert "net.param" in caught.value.where


def test_a_binary_param_is_refused(tmp_path):
    path = param(tmp_path)
    path.write_bytes(b"\x8d\x85\x76\x00\xff\xfe")
    with pytest.raises(ConversionError, match="no text param"):
        open_target(path, [WHOLE_SHAPE])


def test_what_is_not_there_is_refused(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputRefusedError):
            open_target(path)
    path = param(tmp_path)
    with pytest.raises(InputRefusedError, match="neither a bundle nor"):
        open_target(path.with_suffix(".bin"))
    path.with_suffix(".bin").unlink()
    with pytest.raises(InputRefusedError, match="weights are missing"):
        open_target(path)


def test_a_changed_bundle_is_refused(tmp_path):
    folder = bundle(tmp_path)
    (folder / "model.ncnn.bin").write_bytes(b"planted")
    with pytest.raises(InputRefusedError, match="not as the manifest says"):
        open_target(folder)
