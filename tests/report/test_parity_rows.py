from __future__ import annotations

import pytest
from parity_documents import NOT_FINITE, failing, figures, layer, mode, passing

from dwca_export.report.parity_rows import WORST_LAYERS, cosine, image_table, layer_table, mode_table
from dwca_export.report.rows import number


def test_what_was_not_run_has_no_figures():
    first, second = mode_table(passing()).rows
    assert first[:4] == ("fp32", "fp32", "passed", "scores")
    assert second == ("fp32", "bf16-storage", "not run", *[""] * 6)


def test_the_output_that_errs_most_is_shown():
    document = passing()
    document["modes"][0]["outputs"] = [figures("a", 1e-6), figures("b", 1e-4), figures("c", 1e-5)]
    assert mode_table(document).rows[0][3:5] == ("b (worst of 3)", "1.0e-04")


def test_what_is_not_finite_errs_most():
    document = passing()
    document["modes"][0]["outputs"] = [figures("a", 1e-1), figures("b", **NOT_FINITE)]
    assert mode_table(document).rows[0][3:5] == ("b (worst of 2)", "not finite")


def test_no_figure_is_rounded_to_better_than_it_is():
    document = passing()
    document["modes"][0]["outputs"] = [figures(top1=0.99999, sqnr_db=59.99, channel_l2=1e-5)]
    assert mode_table(document).rows[0][3:] == ("scores", "1.0e-06", "1.0e-05", "1.0e-06", "59", "99.9 %")
    assert cosine(figures(cosine=0.9999999)) == "0.999999"
    assert cosine(figures(cosine=-0.5)) == "-0.500000"


@pytest.mark.parametrize(
    ("value", "exact", "text"), [(0.0, True, "equal"), (None, False, "not finite"), (0.5, False, "5.0e-01")]
)
def test_errors_for_people(value, exact, text):
    assert number(value, exact=exact) == text


def test_layers_that_add_most_for_their_tolerance_come_first():
    document = passing()
    document["modes"][1]["status"] = "passed"
    # 3e-6 of 1e-5 in fp32 is more than 1e-3 of 1e-2 in bf16.
    document["layers"].append(layer("conv3", 1e-3, mode="bf16-storage"))
    assert [row[3] for row in layer_table(document).rows] == ["conv2", "conv3", "conv1"]
    document["layers"].append(layer("conv4", 1e-9, mode="bf16-storage", added=figures("conv4", **NOT_FINITE)))
    assert layer_table(document).rows[0][3] == "conv4"


def test_channels_count_for_the_order():
    document = passing()
    document["layers"].append(layer("conv3", 1e-9, added=figures("conv3", 1e-9, channel_l2=1e-3)))
    assert layer_table(document).rows[0][3] == "conv3"


def test_a_layer_is_shown_once_in_its_worst_mode_unless_all_are_asked_for():
    document = passing()
    document["modes"][1]["status"] = "passed"
    document["layers"].append(layer("conv1", 1e-1, mode="bf16-storage"))
    assert [row[1:4] for row in layer_table(document).rows] == [
        ("bf16-storage", "trunk.conv1", "conv1"),
        ("fp32", "trunk.conv2", "conv2"),
    ]
    assert [row[3] for row in layer_table(document, everything=True).rows] == ["conv1", "conv2", "conv1"]


def test_only_the_worst_layers_are_shown():
    document = passing()
    document["layers"] = [layer(f"conv{index}", 1e-6) for index in range(WORST_LAYERS + 5)]
    assert len(layer_table(document).rows) == WORST_LAYERS
    assert len(layer_table(document, everything=True).rows) == WORST_LAYERS + 5


def test_a_fault_is_named_in_its_row():
    assert layer_table(failing()).rows[0] == (
        "fp32", "fp32", "trunk.conv2", "conv2", "scale", "5.0e-01", "59", "0.999999", "1.0e+00"
    )  # fmt: skip


def test_the_module_around_is_said_to_be_that():
    document = passing()
    document["layers"] = [layer("a", 1e-6, exact=False), layer("b", 1e-7, exact=False, module="")]
    assert [row[2] for row in layer_table(document).rows] == ["in trunk.a", ""]


def test_boxes_have_columns_where_there_are_any():
    boxes = {"candidates": 7, "agreed": 6, "least_iou": 0.98765, "score_difference": 0.01}
    one = {**mode("fp32", "bf16-storage", "passed", outputs=[figures()]), "boxes": None}
    assert "boxes" not in image_table({"modes": [one]}).head
    table = image_table({"modes": [one, {**one, "boxes": boxes}]})
    assert table.head[-3:] == ("boxes", "least IoU", "score")
    assert [row[-3:] for row in table.rows] == [("", "", ""), ("6 of 7", "0.987", "1.0e-02")]


def test_names_cannot_command_the_terminal():
    document = passing()
    document["layers"] = [layer("a\x1b[2J", 1e-6)]
    assert layer_table(document).rows[0][3] == r"a\x1b[2J"
