from __future__ import annotations

from dwca_export.report.rows import block_table, contrast_table, parity_table


def test_parity(manifest):
    table = parity_table(manifest)
    assert table.rows == (
        ("torch", "ONNX", "scores", "8.8e-08", "", "3.0e-08", "141", "100 %"),
        ("ONNX", "ncnn fp32", "scores", "equal", "", "equal", "", "100 %"),
    )
    assert all(len(row) == len(table.head) for row in table.rows)


def test_outputs_with_channels_show_the_worst(manifest):
    manifest["parity"][0]["outputs"][0].update(channel="channel 5 of axis 1", channel_l2=3.21e-5)
    manifest["parity"][1]["outputs"][0].update(channel="channel 0 of axis 1", channel_l2=0.0)
    assert [row[4] for row in parity_table(manifest).rows] == ["3.2e-05", "equal"]


def test_contrasts(manifest):
    manifest["contrasts"].append(
        {**manifest["contrasts"][0], "output": "a\x1b", "verdict": "weak", "channel_l2": 0.002}
    )
    table = contrast_table(manifest)
    assert table.rows == (
        ("torch", "scores", "strong", "3.1e-01", ""),
        ("torch", r"a\x1b", "weak", "3.1e-01", "2.0e-03"),
    )
    assert len(table.head) == len(table.rows[0])


def test_figures_are_never_better_than_the_truth(manifest):
    output = manifest["parity"][0]["outputs"][0]
    output.update(sqnr_db=54.99, top1=0.999)
    row = parity_table(manifest).rows[0]
    assert row[-2:] == ("54", "99 %")


def test_outputs_that_are_no_scores_have_no_top1(manifest):
    manifest["parity"][0]["outputs"][0]["top1"] = None
    assert parity_table(manifest).rows[0][-1] == ""


def test_the_worst_output_stands_for_all(manifest):
    outputs = manifest["parity"][0]["outputs"]
    outputs += [{**outputs[0], "output": "boxes", "relative_l2": 5e-5}, {**outputs[0], "output": "masks"}]
    assert [row[2] for row in parity_table(manifest).rows] == ["scores", "boxes", "masks", "scores"]
    worst = parity_table(manifest, worst_only=True).rows
    assert [row[2] for row in worst] == ["boxes (worst of 3)", "scores"]
    assert worst[0][3] == "5.0e-05"


def test_blocks(manifest):
    table = block_table(manifest)
    assert table.rows == (("trunk.0", "5x5", "GroupNorm 4", "yes", "2", "16", "8", "2"),)
    assert len(table.head) == len(table.rows[0])


def test_attention_without_a_dwca_block_around_it(manifest):
    manifest["blocks"][0].update(norm="", groups=0, depthwise_kernel=0, residual=False)
    assert block_table(manifest).rows[0][1:5] == ("none", "folded", "no", "")


def test_names_from_files_are_made_visible(manifest):
    manifest["blocks"][0]["name"] = "a\x1b[31m"
    manifest["parity"][0]["outputs"][0]["output"] = "b\u202e"
    assert block_table(manifest).rows[0][0] == r"a\x1b[31m"
    assert parity_table(manifest).rows[0][2] == r"b\u202e"
