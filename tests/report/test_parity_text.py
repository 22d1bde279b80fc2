from __future__ import annotations

import pytest
from parity_documents import NOT_FINITE, failing, figures, layer, mode, passing

from dwca_export.report.parity_text import one_line_verdict, text


def test_a_pass():
    assert text(passing(), width=140) == (
        "net: ncnn 1.0.20260101 on riscv64, threads: 2, 4 of 9 images of data/\n"
        "weights  mode          verdict  output  relative L2  channel L2  max abs  SQNR dB  top-1\n"
        "fp32     fp32          passed   scores      1.0e-06              1.0e-06       59  100 %\n"
        "fp32     bf16-storage  not run\n"
        "\n"
        "Layers that add most for their tolerance\n"
        "weights  mode  torch module  ncnn layer  fault     adds  SQNR dB    cosine  carries\n"
        "fp32     fp32  trunk.conv2   conv2              3.0e-06       59  0.999999  6.0e-06\n"
        "fp32     fp32  trunk.conv1   conv1              1.0e-06       59  0.999999  2.0e-06\n"
        "\n"
        "not run: fp32 weights, bf16-storage: it computes the same\n"
        "note: a note\n"
        "verdict: passed\n"
    )
    assert one_line_verdict(passing()) == ""


@pytest.mark.parametrize(("acted", "shown"), [(1, "in part"), (2, "passed"), (4, "passed")])
def test_a_mode_that_this_machine_hardly_has_passes_in_part(acted, shown):
    document = passing()
    document["modes"].append(
        {**mode("fp32", "fp16-storage", "passed", outputs=[figures()]), "acted": acted, "blobs": 4}
    )
    shown_text = text(document, width=200)
    row = next(line for line in shown_text.splitlines() if line.startswith("fp32     fp16-storage"))
    assert shown in row
    told = "passed in part: fp32 weights, fp16-storage: on this machine all but 1 of 4 blobs are computed as in fp32"
    assert (told in shown_text) == (shown == "in part")


def test_a_fault_is_spelt_out():
    printed = text(failing(), width=140)
    assert "failed: fp32 weights, fp32: output 'scores': relative L2 error 0.25 is above" in printed
    assert printed[printed.index("First") :] == (
        "First fault: fp32 weights, fp32\n"
        "  torch module  trunk.conv2\n"
        "  behind        trunk.stem\n"
        "  ncnn layer    conv2 (Convolution)\n"
        "  kind          scale\n"
        "  adds          relative L2 5.0e-01, max abs 5.0e-01, SQNR 59 dB, cosine 0.999999\n"
        "  may add       relative L2 1e-05, in a channel 0.0001\n"
        "  carries       relative L2 1.0e+00, max abs 1.0e+00, SQNR 59 dB, cosine 0.999999\n"
        "verdict: failed\n"
    )


def test_a_fault_of_which_little_is_known():
    document = failing()
    more = {"module": "", "after": [], "also": ["pad", "add"], "added": figures("conv2", **NOT_FINITE)}
    document["first_fault"] = layer("conv2", 0.5, "non-finite", **more)
    printed = text(document, width=140)
    assert "  torch module  not known\n  behind        the input\n" in printed
    assert "conv2 (Convolution), with pad, add\n" in printed
    assert "  adds          sample 0: 1 of 4 values of the candidate are NaN or infinite\n" in printed


def test_the_verdict_in_one_line():
    assert one_line_verdict(failing()) == (
        "fp32 weights, fp32: ncnn layer conv2 (trunk.conv2) is the first at fault: "
        "scale, adds relative L2 5.0e-01, max abs 5.0e-01, SQNR 59 dB, cosine 0.999999"
    )
    document = failing()
    document["first_fault"] = None
    assert one_line_verdict(document).startswith("fp32 weights, fp32: output 'scores': relative L2 error 0.25")


def test_the_users_data_have_a_table_and_their_faults_a_line():
    document = passing()
    one = {
        **mode("fp32", "bf16-storage", "failed", ["sample 3: output 'scores': bad"], outputs=[figures()]),
        "boxes": None,
    }
    reference = {"precision": "fp32", "mode": "fp32"}
    document["images"] = {"origin": "5 images of mine/", "count": 5, "reference": reference, "modes": [one]}
    printed = text(document, width=140)
    assert "5 images of mine/, beside ncnn with fp32 weights in fp32\n" in printed
    assert "failed: fp32 weights, bf16-storage: sample 3: output 'scores': bad\n" in printed
    assert one_line_verdict(document) == "fp32 weights, bf16-storage: sample 3: output 'scores': bad"


def test_all_layers():
    assert "Every layer\n" in text(passing(), width=140, all_layers=True)


def test_a_narrow_terminal_loses_nothing():
    document = passing()
    document["layers"] = [layer("a" * 60, 1e-6)]
    printed = "".join(text(document, width=60).split())
    assert printed.count("a") >= 120
