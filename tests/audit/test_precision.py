from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hand_made import finish, graph, noise
from hypothesis import given
from hypothesis import strategies as st
from recorded_bundles import write_bundle

from dwca_export.audit.precision import find_precision_fix, smallest
from dwca_export.audit.precision_bundle import fixed_folder, write_fixed
from dwca_export.audit.recorded import load_param
from dwca_export.audit.verdict import audit
from dwca_export.errors import InputRefusedError, ParityError, UsageError
from dwca_export.ncnn.masks import mask_of
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.runners.bundle import open_bundle

MODE = "bf16-storage"


def network(*, offset=0.0, blocks=3):
    """Residual blocks, and an offset that is added and subtracted again."""
    lines = ["Input -> in0", "Convolution in0 -> stem 0=16 1=3 4=1 5=1 6=432"]
    last = "stem"
    for index in range(blocks):
        lines.append(f"HardSwish {last} -> act{index} 0=0.16666667 1=0.5")
        lines.append(f"Convolution act{index} -> conv{index} 0=16 1=1 5=1 6=256")
        lines.append(f"BinaryOp conv{index} {last} -> sum{index} 0=0")
        last = f"sum{index}"
    lines.append(f"BinaryOp {last} -> up 0=0 1=1 2={float(offset)}")
    lines.append(f"BinaryOp up -> down 0=1 1=1 2={float(offset)}")
    lines.append("Convolution down -> last 0=4 1=1 5=1 6=64")
    made = graph(*lines, taps={name: name for name in ("stem", "up", "down", "last")})
    weights = {
        name: tuple(replace(one, data=one.data * np.float32(0.1)) for one in tensors)
        for name, tensors in made.weights.items()
    }
    return finish(replace(made, weights=weights))


@pytest.fixture
def planted(tmp_path):
    """A network that bf16 breaks in one place: three digits of a sum go with the offset."""
    return write_bundle(tmp_path / "old_ncnn_model", network(offset=300), [noise(3, 8, 6, seed=s) for s in range(2)])


def statuses(folder, mode=MODE):
    return {result.mode: result.status for result in audit(folder, modes=("fp32", mode))}


def test_the_layers_that_need_fp32_are_found(planted):
    assert statuses(planted) == {"fp32": "passed", MODE: "failed"}
    fix = find_precision_fix(planted, MODE)
    assert fix.layers == ("up", "down")
    assert fix.modules == ("", "")
    assert (fix.mask, fix.converters) == (4, 1)
    assert fix.computing == 13
    assert any("down" in fault for fault in fix.faults)
    assert fix.trials < 12


def test_the_new_bundle_passes_and_the_old_one_stays(planted, tmp_path):
    before = {path.name: path.read_bytes() for path in planted.iterdir()}
    target = fixed_folder(planted, MODE, None)
    manifest = write_fixed(planted, find_precision_fix(planted, MODE), target)
    assert target.name == "old_bf16-storage_ncnn_model"
    assert statuses(target) == {"fp32": "passed", MODE: "passed"}
    assert {layer.name for layer in load_param(target).layers if mask_of(layer)} == {"up", "down"}
    assert manifest == json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["precision_masks"] == [
        {
            "mode": MODE,
            "mask": 4,
            "layers": [{"layer": "up", "module": ""}, {"layer": "down", "module": ""}],
            "converters": 1,
        }
    ]
    assert {path.name: path.read_bytes() for path in planted.iterdir()} == before
    x = noise(1, 3, 8, 6, seed=9)
    with open_bundle(planted) as old, open_bundle(target) as new:
        assert np.array_equal(old.infer({"x": x})["y"], new.infer({"x": x})["y"])


def test_each_layer_is_needed(planted, tmp_path):
    fix = find_precision_fix(planted, MODE)
    for left in combinations(fix.layers, len(fix.layers) - 1):
        with pytest.raises(ParityError, match=MODE):
            write_fixed(planted, replace(fix, layers=left, modules=("",) * len(left)), tmp_path / "less")
    assert not (tmp_path / "less").exists()


def test_a_network_that_passes_is_left_alone(tmp_path):
    folder = write_bundle(tmp_path / "b", network(), [noise(3, 8, 6)])
    fix = find_precision_fix(folder, MODE)
    assert (fix.layers, fix.converters, fix.faults) == ((), 0, ())


def test_a_tolerance_of_the_user_is_held(tmp_path):
    folder = write_bundle(tmp_path / "b", network(), [noise(3, 8, 6)])
    narrow = {**TOLERANCES, MODE: replace(TOLERANCES[MODE], layer_l2=2e-3)}
    fix = find_precision_fix(folder, MODE, tolerances=narrow)
    assert 0 < len(fix.layers) < fix.computing
    write_fixed(folder, fix, tmp_path / "new_ncnn_model", tolerances=narrow)
    for result in audit(tmp_path / "new_ncnn_model", modes=("fp32", MODE), tolerances=narrow):
        assert result.status == "passed"


def test_samples_of_the_user_count(tmp_path):
    """Beside the large numbers of the recorded sample the offset is harmless, beside those of the user's it is not."""
    folder = write_bundle(tmp_path / "b", network(offset=300), [noise(3, 8, 6) * np.float32(1e4)])
    assert find_precision_fix(folder, MODE).layers == ()
    fix = find_precision_fix(folder, MODE, more=[{"x": noise(1, 3, 8, 6)}])
    assert "down" in fix.layers


def test_a_mode_that_the_machine_lacks_is_no_success(tmp_path):
    folder = write_bundle(tmp_path / "b", network(), [noise(3, 8, 6)])
    if audit(folder, modes=("fp32", "fp16-storage"))[1].status != "not run":
        pytest.skip("this machine has fp16 storage")
    with pytest.raises(UsageError, match="does not have fp16-storage"):
        find_precision_fix(folder, "fp16-storage")


@pytest.mark.parametrize("mode", ["fp32", "int8"])
def test_other_modes_cannot_be_fixed(planted, mode):
    with pytest.raises(UsageError, match=mode):
        find_precision_fix(planted, mode)


def test_a_network_that_is_wrong_in_fp32_is_refused(tmp_path):
    folder = write_bundle(tmp_path / "b", network(), [noise(3, 8, 6)])
    with np.load(folder / "golden.npz") as arrays:
        changed = {**arrays, "output/0/y": arrays["output/0/y"] * np.float32(1.1)}
    np.savez(folder / "golden.npz", **changed)
    with pytest.raises(ParityError, match="fp32 itself"):
        find_precision_fix(folder, MODE)


def test_the_bundle_is_not_replaced_by_itself(planted):
    with pytest.raises(InputRefusedError, match="the bundle itself"):
        write_fixed(planted, find_precision_fix(planted, MODE), planted, force=True)


@given(st.sets(st.integers(0, 40), min_size=1, max_size=6), st.permutations(range(41)))
def test_the_smallest_set_is_found_whatever_the_ranking(needed, order):
    """Layers that are each needed: the one set that is 1-minimal is found, from any ranking."""
    ranking = [str(index) for index in order]
    wanted = frozenset(map(str, needed))
    assert smallest(ranking, wanted.issubset) == wanted


@given(st.lists(st.sets(st.integers(0, 20), min_size=1, max_size=4), min_size=1, max_size=3))
def test_what_is_found_is_one_minimal(choices):
    """Any of several sets will do."""

    def passes(layers):
        return any({str(index) for index in choice} <= layers for choice in choices)

    found = smallest([str(index) for index in range(21)], passes)
    assert passes(found)
    assert not any(passes(found - {one}) for one in found)
