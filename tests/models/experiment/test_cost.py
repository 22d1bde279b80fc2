from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.experiment import what
from models.experiment.cost import distinct_widths, first_not_below, main
from models.experiment.exported import to_ncnn_files
from models.experiment.latency import combined, latency_ratios
from models.experiment.networks import COMMON, untrained
from models.experiment.statistics import ONE_SEED


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ncnn")
    variants = {name: what.VARIANTS["fashion"][name] for name in ("baseline", "dwca")}
    shape = COMMON["fashion"].shape
    return {
        name: to_ncnn_files(untrained("fashion", variant), shape, folder / f"{name}.ncnn.param")
        for name, variant in variants.items()
    }


def test_sizes_of_the_weight_files(files):
    for one in files.values():
        assert one.param.with_suffix(".bin").stat().st_size == one.bin_bytes["fp32"]
        assert 0.45 < one.bin_bytes["fp16"] / one.bin_bytes["fp32"] < 0.6
    assert files["dwca"].layers > files["baseline"].layers


def test_every_process_measures_every_network(files):
    params = {name: one.param for name, one in files.items()}
    found = latency_ratios(params, "baseline", processes=2, rounds=2)
    assert list(found) == list(params)
    assert (found["baseline"].value, len(found["dwca"].processes)) == (1.0, 2)
    assert min(found["dwca"].processes) > 0


def test_ratios_of_several_processes():
    both = combined([0.5, 2.0])
    assert both.value == pytest.approx(1)
    # Logarithms -0.693 and 0.693: standard error 0.693, times 12.706.
    assert math.log(both.high) == pytest.approx(12.706 * math.log(2), rel=1e-4)
    assert (combined([0.5]).low, combined([0.5]).why) == (None, ONE_SEED.replace("seed", "process"))


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40, unique=True).map(sorted))
def test_bisection_finds_what_a_look_at_all_would(candidates):
    asked = []

    def ratio(width):
        asked.append(width)
        return width

    place = first_not_below(candidates, ratio)
    expected = next((i for i, width in enumerate(candidates) if width >= 1), len(candidates) - 1)
    assert place == expected
    assert len(asked) <= math.ceil(math.log2(len(candidates))) + 1


def test_widths_of_the_same_network_are_tried_once():
    assert distinct_widths([0.69, 0.69, 0.70]) == [0.69, 0.70]
    # The stem's 16 channels become 12 and 13: both the one multiple of 16.
    assert distinct_widths([0.5, 0.5001]) == [0.5]


def test_a_file_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("models.experiment.cost.measure", lambda *_: [])
    assert main(["--task", "fashion", "--out", str(tmp_path / "file/cost.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["--task", "fashion", "--out", str(tmp_path / "cost.json")]) == 0
    assert json.loads((tmp_path / "cost.json").read_text())["rows"] == []


@pytest.mark.parametrize("option", ["--processes", "--rounds"])
def test_no_measurement_at_all_is_refused(option, capsys):
    assert main([option, "0"]) == 2
    assert f"{option}: 0 is too few" in capsys.readouterr().err
