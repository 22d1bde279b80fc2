from __future__ import annotations

from dwca_export.kernel_paths import findings, lint
from dwca_export.ncnn.param import Param
from dwca_export.report.kernel_paths import finding_table, kernel_paths_text, path_table, summary_table

NETWORK = Param.parse(
    "7767517\n4 4\nInput in0 0 1 in0\nConvolution c 1 1 in0 a 0=60 1=1 6=180\n"
    "ConvolutionDepthWise stage.0.dw 1 1 a stage.0.dw 0=60 1=5 4=2 6=1500 7=60\n"
    "ConvolutionDepthWise stage.1.dw 1 1 stage.0.dw stage.1.dw 0=60 1=5 4=2 6=1500 7=60\n"
)
SHAPES = {"in0": (3, 9, 9), "a": (60, 9, 9), "stage.0.dw": (60, 9, 9), "stage.1.dw": (60, 9, 9)}


def paths(*modes):
    return lint(NETWORK, SHAPES, ("armv8.2",), modes)


def test_summary():
    table = summary_table(paths("fp32", "fp16-arithmetic"))
    assert table.rows == (
        ("armv8.2", "fp32", "3", "3", "0", "0", "0", "0"),
        ("armv8.2", "fp16-arithmetic", "3", "1", "2", "0", "1", "0"),
    )


def test_findings_that_differ_in_the_layer_alone_are_one_row():
    (row,) = finding_table(findings(paths("fp32", "fp16-arithmetic"))).rows
    assert row[:4] == ("generic", "ConvolutionDepthWise", "armv8.2 fp16-arithmetic", "stage.0.dw, stage.1.dw")
    assert row[5].startswith("64 instead of 60 channels")


def test_every_layer_on_request():
    assert [row[2] for row in path_table(paths("fp32")).rows] == ["c", "stage.0.dw", "stage.1.dw"]
    assert "convdw5x5s1_pack4_neon" in kernel_paths_text(paths("fp32"), width=200, every_layer=True)
    assert "convdw5x5s1_pack4_neon" not in kernel_paths_text(paths("fp32"))


def test_text_says_what_was_read():
    text = kernel_paths_text(paths("fp16-arithmetic"))
    assert text.startswith("Kernels that ncnn takes, by its source of 2026-07-22 (a4d2ea1d)\n")
    assert "generic: ConvolutionDepthWise stage.0.dw, stage.1.dw\n  armv8.2 fp16-arithmetic\n  loop over" in text
    assert not any(line != line.rstrip() for line in text.splitlines())
