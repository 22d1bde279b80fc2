"""`dwca-parity --ranges` and `--fix-precision`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bundles import edit_weights

from dwca_export.audit.verdict import audit

MODE = "bf16-storage"
# Narrower than bf16 is: some layers have to compute in fp32.
NARROW = ("--tolerance", f"{MODE}.layer_l2=0.002")


def test_ranges_are_shown_on_request_alone(judge, exported):
    assert "fp16's range" not in judge(exported).out
    assert json.loads(judge(exported, "--json").out)["ranges"] is None
    ran = judge(exported, "--ranges", "--mode", "fp32")
    assert ran.code == 0
    assert "fp16's range, on 3 samples: no findings" in ran.out


def test_a_layer_beyond_the_range_is_named(judge, bundle):
    """It fails in fp32 as well: what was recorded is of the right weights."""
    layer = next(result for result in audit(bundle, modes=("fp32",))).layers[0].layer
    edit_weights(bundle, layer, lambda data: data.__imul__(np.float32(1e6)))
    ran = judge(bundle, "--ranges", "--json", "--mode", "fp32")
    assert ran.code == 5
    ranges = json.loads(ran.out)["ranges"]
    assert next(one["layer"] for one in ranges["findings"] if one["fault"] == "overflow") == layer


def test_the_data_of_the_user_are_looked_at(judge, exported, pixels, tmp_path):
    np.save(tmp_path / "mine.npy", pixels)
    ran = judge(exported, "--ranges", "--json", "--mode", "fp32", "--images", tmp_path / "mine.npy")
    assert json.loads(ran.out)["ranges"]["samples"] == 6


def test_a_mode_that_passes_needs_no_mask(judge, bundle):
    ran = judge(bundle, "--fix-precision", MODE, "--mode", "fp32", "--json")
    assert ran.code == 0
    fix = json.loads(ran.out)["precision_fix"]
    assert (fix["layers"], fix["bundle"]) == ([], None)
    assert [path.name for path in bundle.parent.glob("*_ncnn_model")] == [bundle.name]


@pytest.fixture
def fixed(judge, bundle):
    """What the command prints, with another bundle beside the old one."""
    return judge(bundle, "--fix-precision", MODE, *NARROW, "--mode", MODE, "--json"), bundle


def test_a_bundle_with_masks_is_written_and_judged(fixed, judge):
    ran, old = fixed
    assert ran.code == 0
    document = json.loads(ran.out)
    fix = document["precision_fix"]
    new = old.with_name("tiny_bf16-storage_ncnn_model")
    assert fix["bundle"] == document["bundle"] == str(new)
    assert 0 < len(fix["layers"]) < fix["computing"]
    assert all(one["kernel"] for one in fix["layers"])
    assert document["verdict"] == "passed"
    assert judge(old, *NARROW).code == 5
    assert judge(new, *NARROW).code == 0
    assert "31=4" in (new / "model.ncnn.param").read_text(encoding="utf-8")


def test_a_bundle_that_is_there_is_replaced_with_force_alone(fixed, judge, tmp_path):
    old = fixed[1]
    arguments = (old, "--fix-precision", MODE, *NARROW, "--mode", MODE, "-q")
    ran = judge(*arguments)
    assert (ran.code, "--force" in ran.err) == (2, True)
    assert judge(*arguments, "--force").code == 0
    assert judge(*arguments, "--out", tmp_path / "other").code == 0
    assert (tmp_path / "other/tiny_bf16-storage_ncnn_model/manifest.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--fix-precision", "fp32"), "fp32"),
        (("--fix-precision", "int8"), "int8"),
        (("--out", "somewhere"), "--fix-precision"),
        (("--force",), "--fix-precision"),
    ],
)
def test_what_cannot_be_done_is_refused(judge, exported, arguments, named):
    ran = judge(exported, *arguments)
    assert ran.code == 2
    assert named in ran.err
    assert "Traceback" not in ran.err


def test_a_failed_fix_leaves_nothing(judge, bundle):
    """No mask makes fp32 right."""
    layer = next(result for result in audit(bundle, modes=("fp32",))).layers[0].layer
    edit_weights(bundle, layer, lambda data: data.__imul__(np.float32(1.5)))
    before = sorted(path.name for path in bundle.parent.iterdir())
    assert judge(bundle, "--fix-precision", MODE).code == 5
    assert sorted(path.name for path in bundle.parent.iterdir()) == before
