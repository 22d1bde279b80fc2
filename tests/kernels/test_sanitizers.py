"""The kernels under the address and undefined-behaviour sanitizers: the headers in a C++ program, without Python.

The machine's own compiler builds it, for zig has no address sanitizer. tools/sanitize runs all other tests so.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
from cpp_programs import build, compiler, run
from kernel_cases import ISAS, rows

SOURCE = Path(__file__).with_name("sanitize.cc")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1", "-O1")
FLAGS = {
    "scalar": ["-DDWCA_SCALAR"],
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512": ["-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma", "-mf16c"],
    "neon": [],
}
# A vector set takes GCC minutes to compile with sanitizers.
QUICK = ["scalar"]
SLOW = [isa for isa in ("avx2", "avx512", "neon") if isa in ISAS]

if platform.machine() not in ("x86_64", "aarch64") or "QEMU_CPU" in os.environ:
    pytest.skip("for x86-64 and AArch64, not for an emulator", allow_module_level=True)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory):
    made: dict[str, Path] = {}

    def program(isa: str) -> Path:
        if isa not in made:
            folder = tmp_path_factory.mktemp(isa)
            made[isa] = build(SOURCE, folder / "sanitize", *SANITIZERS, *FLAGS[isa], using=compiler("c++"))
        return made[isa]

    return program


@pytest.mark.parametrize("isa", [*QUICK, *(pytest.param(isa, marks=pytest.mark.slow) for isa in SLOW)])
def test_every_row_is_clean(program, isa):
    done = run(program(isa))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{len(rows(isa))} rows "), done.stdout


@pytest.mark.parametrize(
    ("kind", "said"),
    [("read", "heap-buffer-overflow"), ("write", "heap-buffer-overflow"), ("overflow", "signed integer")],
)
def test_a_planted_fault_is_seen(program, kind, said):
    done = run(program(QUICK[0]), "--plant", kind)
    assert done.returncode != 0
    assert said in done.stderr
    assert "nothing noticed" not in done.stdout
