"""Counting of instructions: what the plugin writes, the figures made of it, and what AArch64 kernels execute."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tools.instruction_count.emulator import COMPILERS, CountError, Emulator, compile_plugin
from tools.instruction_count.opcodes import disassembled, mnemonic
from tools.instruction_count.regions import Block, Record, Region
from tools.instruction_count.rows import row
from tools.instruction_count.tables import listings, table

ROOT = Path(__file__).resolve().parents[1]
TOOL = ROOT / "tools/icount"
PLUGIN = ROOT / "tools/instruction_count/plugin.c"

# Two instructions at 1000 and two that follow them, which qemu translated as two blocks; another at 2000.
WRITTEN = """\
region 7
block 1000 2 10
code 1000 fmla v0.4s, v1.4s, v2.s[0]
code 1004 ldr q5, [x0], #0x10
block 2000 1 5
code 2000 ret
end
region 8
block 1000 2 30
block 1008 2 20
code 1008 .byte 0x20, 0x0c, 0x42, 0x4e
code 100c b.ne #0x1000
block 2000 1 5
end
region 8
block 1000 2 30
block 1008 2 20
block 2000 1 9
end
"""
CASE = {
    "name": "ncnn",
    "layer": "4x2x5 k3 s1",
    "storage": "fp32",
    "arithmetic": "fp32",
    "outputs": 40,
    "elempack": 4,
    "isa": None,
    "tags": [7, 8],
    "layers": 2,
}


@pytest.fixture
def record() -> Record:
    return Record.parse(WRITTEN)


@pytest.mark.parametrize(
    ("instruction", "named"),
    [
        ("fmla v0.4s, v1.4s, v2.s[0]", "fmla.4s"),
        ("ld1 {v12.8h, v13.8h}, [x2], #0x40", "ld1.8h"),
        ("ldp q5, q10, [x10]", "ldp.q"),
        ("ldr s3, [x1]", "ldr.s"),
        ("ldr x3, [sp, #0xd0]", "ldr"),
        ("fmadd d0, d1, d2, d3", "fmadd.d"),
        ("ret", "ret"),
        ("b.ne #0x5500a31434", "b.ne"),
        ("subs x0, x0, #1", "subs"),
        (".byte 0x20, 0x00, 0xe0, 0xb8", ".byte"),
    ],
)
def test_mnemonics_have_the_shape_of_the_vector(instruction, named):
    assert mnemonic(instruction) == named


# Each word as clang assembles the text for a Cortex-A76.
@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0x4E420C20, "fmla v0.8h, v1.8h, v2.8h"),
        (0x0EDF17FE, "fsub v30.4h, v31.4h, v31.4h"),
        (0x6E5D1F9B, "fmul v27.8h, v28.8h, v29.8h"),
        (0x4E431441, "fadd v1.8h, v2.8h, v3.8h"),
        (0x4E4334A4, "fmax v4.8h, v5.8h, v3.8h"),
        (0x0F321020, "fmla v0.4h, v1.4h, v2.h[3]"),
        (0x4F3F91FE, "fmul v30.8h, v15.8h, v15.h[3]"),
        (0x4F0F59FE, "fmls v30.8h, v15.8h, v15.h[4]"),
        (0x6F3F9BFE, "fmulx v30.8h, v31.8h, v15.h[7]"),
    ],
)
def test_half_precision_is_disassembled(word, text):
    assert disassembled(".byte " + ", ".join(f"{byte:#04x}" for byte in word.to_bytes(4, "little"))) == text


# ldaddal; fmla of single precision by element, which capstone knows; a word of no instruction.
@pytest.mark.parametrize("word", [0xB8E00020, 0x4F821020, 0x00000000])
def test_what_is_no_half_precision_stays_as_it_is(word):
    text = ".byte " + ", ".join(f"{byte:#04x}" for byte in word.to_bytes(4, "little"))
    assert disassembled(text) == text


def test_what_the_plugin_writes_is_read(record):
    assert {tag: [one.instructions for one in regions] for tag, regions in record.regions.items()} == {
        7: [25],
        8: [105, 109],
    }
    assert record.least(8).instructions == 105


def test_the_difference_is_by_block(record):
    difference = record.least(8).minus(record.least(7))
    assert difference.executions == {Block(0x1000, 2): 20, Block(0x1008, 2): 20}
    assert record.mix(difference) == {"fmla.4s": 20, "ldr.q": 20, "fmla.8h": 20, "b.ne": 20}


def test_what_was_executed_less_often_counts_negative():
    less, more = Region(Counter({Block(0, 1): 5, Block(4, 3): 2})), Region(Counter({Block(0, 1): 9, Block(4, 3): 1}))
    assert more.minus(less).instructions == 4 - 3


def test_blocks_that_follow_one_another_are_one_stretch(record):
    assert record.hottest(record.least(8).minus(record.least(7)), 9) == [(Block(0x1000, 4), 20)]
    # Not where they were executed a different number of times.
    assert record.hottest(record.least(8), 2) == [(Block(0x1000, 2), 30), (Block(0x1008, 2), 20)]


def test_a_row_is_of_one_layer(record):
    found = row(CASE, record, "a53", top=9, blocks=1)
    assert (found["cpu"], found["instructions"], found["per_output"], found["per_4_outputs"]) == (
        "cortex-a53",
        40,
        1,
        4,
    )
    assert found["mix"] == {"fmla.4s": 1, "ldr.q": 1, "fmla.8h": 1, "b.ne": 1}
    assert found["blocks"][0]["executions"] == 10
    assert found["blocks"][0]["code"][2] == "fmla v0.8h, v1.8h, v2.8h"


def test_the_table_has_the_ratio_to_ncnn(record):
    other = {**row(CASE, record, "a53"), "name": "direct", "per_4_outputs": 1.0}
    lines = table([row(CASE, record, "a53"), other]).splitlines()
    assert [line.split()[-1] for line in lines] == ["ncnn", "1.00", "0.25"]
    assert len(set(map(len, lines))) == 1
    elsewhere = {**other, "layer": "4x2x6 k3 s1"}
    assert table([row(CASE, record, "a53"), elsewhere]).splitlines()[-1].split()[-1] == "1.00"
    assert "to ncnn" in lines[0]


def test_what_cannot_be_counted_has_no_figures(record):
    case = {key: value for key, value in CASE.items() if key not in {"tags", "layers"}}
    found = row({**case, "unavailable": "planted"}, record, "a53", top=9, blocks=9)
    assert "instructions" not in found
    assert "mix" not in found
    text = table([found, row({**case, "unavailable": "planted", "layer": "other"}, record, "a53")])
    assert text.splitlines()[-1] == "not counted: ncnn, cortex-a53, fp32 / fp32 (4x2x5 k3 s1, other): planted"


def test_listings_say_how_often(record):
    lines = listings([row(CASE, record, "a53", blocks=1)]).splitlines()
    assert lines[2] == "4 instructions, 10 times, 100.0 % of all"
    assert lines[3:] == [f"    {text}" for text in record.instructions(Block(0x1000, 4))]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["64x56"], "'64x56' is not channels x height x width, such as 64x56x56"),
        (["-1x5x5"], ""),
        (["0x5x5"], "0x5x5 has 0 numbers, not 1 to 2000000"),
        (["9999x9999x9999"], "has 999700029999 numbers"),
        (["64x56x56x1"], "is not channels x height x width"),
        (["--kernel", "0"], "'0' is not a number from 1 to 15"),
        (["--stride", "five"], "'five' is not a number from 1 to 4"),
        (["--cpu", "a57"], "invalid choice: 'a57'"),
        (["--mode", "int8"], "invalid choice: 'int8'"),
        (["--planted"], "unrecognized arguments: --planted"),
    ],
)
def test_wrong_usage_is_refused(arguments, complaint):
    done = subprocess.run([str(TOOL), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wheel_that_is_not_there(tmp_path):
    missing = tmp_path / "planted.whl"
    done = subprocess.run([str(TOOL), "--wheel", str(missing)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"icount: there is no wheel {missing}: tools/wheels makes one\n"


def test_no_compiler(tmp_path):
    with pytest.raises(CountError, match="apt-get install gcc, or pip install ziglang"):
        compile_plugin(tmp_path / "plugin.so", [("planted-no-such-compiler",), ("false",)])
    assert not list(tmp_path.iterdir())


def test_a_compiler_that_fails_leaves_nothing(tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ]\n')
    compiler.chmod(0o755)
    with pytest.raises(CountError, match="cannot compile"):
        compile_plugin(tmp_path / "plugin.so", [(str(compiler),)])
    assert not (tmp_path / "plugin.so").exists()


@pytest.mark.parametrize("compiler", COMPILERS, ids=["cc", "gcc", "clang", "ziglang"])
def test_each_compiler_makes_the_plugin_without_a_warning(tmp_path, compiler):
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no {compiler[0]}")
    if subprocess.run([*compiler, "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"no {' '.join(compiler)}")
    compile_plugin(tmp_path / "plugin.so", [compiler])
    assert (tmp_path / "plugin.so").read_bytes().startswith(b"\x7fELF")
    strict = [
        *compiler,
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Wmissing-prototypes",
        "-Werror",
        "-c",
        "-o",
        str(tmp_path / "object"),
    ]
    subprocess.run([*strict, str(PLUGIN)], check=True)


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return Emulator.make()


@pytest.mark.arm
def test_the_count_of_a_known_loop_is_exact(emulator):
    iterations = 1_000_000
    record = Record.parse(
        emulator.run("a76", [str(ROOT / "tests/icount_loop.py"), str(iterations)], text=True),
    )
    difference = record.least(1).minus(record.least(0))
    assert record.mix(difference)["fmla.8h"] == iterations
    stretch, times = record.hottest(difference, 1)[0]
    assert times == iterations
    assert list(record.instructions(stretch))[:2] == ["fmla v0.8h, v1.8h, v2.8h", "subs x0, x0, #1"]
    # Around it Python, which does not always do the same.
    assert difference.instructions == pytest.approx(3 * iterations, rel=1e-3)


@pytest.mark.arm
def test_what_the_program_prints_and_how_it_fails_is_seen(emulator, capfd):
    with pytest.raises(CountError, match="exit code 7"):
        emulator.run("a53", ["-c", "print('planted'); raise SystemExit(7)"])
    assert capfd.readouterr() == ("", "planted\n")


@pytest.mark.arm
def test_a_plugin_that_qemu_cannot_load_is_named(emulator, tmp_path):
    (tmp_path / "planted.so").write_bytes(b"no library")
    broken = Emulator(emulator.python, emulator.path, emulator.qemu, tmp_path / "planted.so")
    with pytest.raises(CountError, match=r"did not load the plugin .*planted\.so"):
        broken.run("a53", ["-c", "pass"])


def counted(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run([str(TOOL), *arguments, "--json"], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["emulated"]) == ("dwca-icount/1", True)
    return list(document["rows"])


# What ncnn's kernels execute per output of four channels: ncnn's version in tools/constraints.txt, stride 1.
STOCK = {
    ("64x56x56 k5 s1", "fp32", "fp32"): 58.62,
    ("256x14x14 k5 s1", "fp32", "fp32"): 63.13,
    ("64x56x56 k5 s1", "bf16", "fp32"): 44.57,
    ("256x14x14 k5 s1", "bf16", "fp32"): 50.75,
    ("64x56x56 k5 s1", "fp16", "fp16"): 17.11,
    ("256x14x14 k5 s1", "fp16", "fp16"): 19.95,
    ("64x56x56 k3 s1", "fp32", "fp32"): 14.96,
    ("256x14x14 k3 s1", "fp32", "fp32"): 18.49,
    ("64x56x56 k3 s1", "bf16", "fp32"): 18.17,
    ("256x14x14 k3 s1", "bf16", "fp32"): 22.38,
    ("64x56x56 k3 s1", "fp16", "fp16"): 7.52,
    ("256x14x14 k3 s1", "fp16", "fp16"): 9.78,
}


@pytest.mark.arm
@pytest.mark.parametrize("cpu", ["a53", "a76"])
def test_what_ncnn_executes(cpu):
    modes = [f"--mode={mode}" for mode in ("fp32", "fp16-arithmetic", "bf16-storage")]
    rows = counted("64x56x56", "256x14x14", *modes, f"--cpu={cpu}", "--name=ncnn", "--top=20")
    found = {(row["layer"], row["storage"], row["arithmetic"]): row for row in rows}
    assert found.keys() == STOCK.keys()
    for case, figure in STOCK.items():
        if cpu == "a53" and "fp16" in case:
            assert "without fp16 arithmetic" in found[case]["unavailable"]
        else:
            assert found[case]["per_4_outputs"] == pytest.approx(figure, rel=1e-3), case
    # 5x5 in fp32 multiplies and adds apart, 3x3 does not.
    mix = found["64x56x56 k5 s1", "fp32", "fp32"]["mix"]
    assert (mix["fmul.4s"], mix["fadd.4s"], mix.get("fmla.4s", 0)) == (25, 25, 0)
    assert found["64x56x56 k3 s1", "fp32", "fp32"]["mix"]["fmla.4s"] == 9


@pytest.mark.arm
def test_packing_and_copies_are_not_of_the_layer():
    rows = counted("64x56x56", "--kernel=5", "--cpu=a53", "--mode=fp32", "--name=ncnn", "--name=ncnn network")
    assert [row["per_4_outputs"] for row in rows] == pytest.approx([58.62, 67.14], abs=0.05)


@pytest.mark.arm
def test_a_kernel_that_there_is_not():
    done = subprocess.run(
        [str(TOOL), "4x8x8", "--cpu=a53", "--name=planted"], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "planted" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
