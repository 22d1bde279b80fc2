from __future__ import annotations

from pathlib import Path

import pytest

from dwca_export.report.text import print_report


@pytest.fixture
def printed(capsys):
    def call(manifest, folder="/out/net_ncnn_model"):
        print_report(Path(folder), manifest)
        return capsys.readouterr().out

    return call


def test_what_a_user_sees(manifest, printed):
    assert printed(manifest) == (
        "Blocks with coordinate attention: 1\n"
        "block    depthwise  norm         residual  stride  channels  reduced  reduction\n"
        "trunk.0  5x5        GroupNorm 4  yes            2        16        8          2\n"
        "\n"
        "Parity on 4 of 9 images of samples/\n"
        "from   to         output  relative L2  channel L2  max abs  SQNR dB  top-1\n"
        "torch  ONNX       scores      8.8e-08              3.0e-08      141  100 %\n"
        "ONNX   ncnn fp32  scores        equal                equal           100 %\n"
        "\n"
        "note: a note\n"
        "bundle: /out/net_ncnn_model\n"
    )


def test_a_network_for_every_size_is_shown_with_the_data_of_each(manifest, printed):
    manifest["any_size"] = True
    noise = {"kind": "noise", "origin": "Gaussian noise, seed 0", "count": 1}
    manifest["proven"].append({"shapes": [[1, 3, 37, 21], [1, 7]], "samples": noise})
    assert (
        "proven at        on                      samples\n"
        "1x3x24x16        9 images of samples/          4\n"
        "1x3x37x21 + 1x7  Gaussian noise, seed 0        1\n"
    ) in printed(manifest)


def test_without_blocks_there_is_no_table_of_them(manifest, printed):
    manifest["blocks"] = []
    assert "coordinate attention" not in printed(manifest)


def test_noise_is_called_noise(manifest, printed):
    manifest["samples"] = {"kind": "noise", "origin": "Gaussian noise, seed 0", "count": 4}
    assert "\nParity on noise\n" in printed(manifest)


def test_long_tables_are_cut_and_say_so(manifest, printed):
    manifest["blocks"] *= 30
    assert "... and 6 more, in report.html" in printed(manifest)


def test_long_paths_and_notes_are_not_broken(manifest, printed):
    manifest["notes"] = ["word " * 60]
    folder = "/" + "/".join(["deep folder"] * 20)
    lines = printed(manifest, folder).splitlines()
    assert lines[-1] == f"bundle: {folder}"
    assert len(lines[-2]) > 300


def test_brackets_are_no_markup(manifest, printed):
    manifest["blocks"][0]["name"] = "[bold]heads[0][/bold]"
    manifest["notes"] = ["[red]a[/red] :smile:"]
    text = printed(manifest, "/[b]x")
    assert "[bold]heads[0][/bold]" in text
    assert "note: [red]a[/red] :smile:" in text
    assert "bundle: /[b]x" in text


def test_names_that_are_no_utf8_can_be_printed(manifest, printed):
    assert r"bundle: /a\udcff" in printed(manifest, "/a\udcff")
