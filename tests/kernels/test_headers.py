"""The C++ of docs/pages/kernels.md compiles against the installed headers alone and prints what the page shows."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest
from cpp_programs import build, compiler, run

PAGE = Path(__file__).parents[2] / "docs/pages/kernels.md"
QEMU = sorted((Path(__file__).parents[2] / ".arm").glob("python-*/qemu-aarch64"))

# Fast to compile: what the optimiser makes of it is for the other tests.
PLAIN = ("-O0",)
SETS = {
    "scalar": ("-DDWCA_SCALAR",),
    "baseline": (),
    "avx2": ("-mavx2", "-mfma", "-mf16c"),
}
AVX512 = (*SETS["avx2"], "-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq")

if not PAGE.exists():
    pytest.skip("these are the sources' own tests", allow_module_level=True)


def fences(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    (tmp_path / "depthwise.cpp").write_text(fences("cpp")[0])
    return tmp_path / "depthwise.cpp"


@pytest.fixture
def shown() -> str:
    return next(text for text in fences("text") if text.startswith("corner"))


def test_the_page_shows_what_is_right(shown):
    """ReLU6 of 9 and of 25 taps of 0.2, and a bias of 0.5."""
    corner, centre = map(float, re.findall(r"\d+\.\d+", shown))
    assert corner == pytest.approx(9 * 0.2 + 0.5)
    assert centre == pytest.approx(25 * 0.2 + 0.5)


@pytest.mark.parametrize(
    ("using", "isa"), [("c++", "scalar"), ("c++", "baseline"), ("c++", "avx2"), ("zig", "scalar"), ("zig", "baseline")]
)
def test_the_example_runs(example, shown, using, isa):
    if isa == "avx2" and platform.machine() != "x86_64":
        pytest.skip("for x86-64")
    program = build(example, example.with_suffix(""), *PLAIN, *SETS[isa], using=compiler(using))
    assert run(program).stdout == shown


@pytest.mark.slow
@pytest.mark.parametrize("using", ["c++", "zig"])
def test_the_example_runs_as_the_page_compiles_it(example, shown, using):
    program = build(example, example.with_suffix(""), "-O3", "-march=native", using=compiler(using))
    assert run(program).stdout == shown


@pytest.mark.arm
@pytest.mark.parametrize("flags", [(), ("-mcpu=generic+v8_2a+fullfp16",)], ids=["neon", "neon_fp16"])
def test_the_example_runs_on_aarch64(example, shown, flags):
    if not QEMU:
        pytest.skip("no emulator: tools/arm true")
    using = compiler("zig", "aarch64-linux-musl")
    program = build(example, example.with_suffix(""), *PLAIN, *flags, using=using)
    assert run(QEMU[-1], str(program)).stdout == shown


def test_a_table_of_ones_own(tmp_path):
    """The page's second piece of code, in a program of its own."""
    program = """
    #include <cstdio>
    #include <dwca/depthwise.h>
    #include <dwca/direct.h>
    int main() {
      TABLE
      const dwca::Layer layer{4, 5, 5, 5, 1, 1, 2, 2, 2, 2};
      float in[100], out[100], weights[100];
      for (int i = 0; i < 100; ++i) in[i] = weights[i] = 1;
      dwca::Format format;
      format.elempack = 4;
      dwca::Depthwise(layer, format, table, "direct", weights, nullptr).run(in, out);
      std::printf("%g %g", out[0], out[48]);
    }"""
    (tmp_path / "own.cc").write_text(program.replace("TABLE", fences("cpp")[1]))
    assert run(build(tmp_path / "own.cc", tmp_path / "own", *PLAIN)).stdout == "9 25"


def test_conversions_warn_of_nothing_when_they_are_optimised(tmp_path):
    """Whatever this machine can run: GCC 12 warns of its own header's AVX-512."""
    if platform.machine() != "x86_64":
        pytest.skip("for x86-64")
    (tmp_path / "copy.cc").write_text("""
    #include <dwca/storage.h>
    int main() {
      dwca::Half in[16] = {}, out[16];
      dwca::native::store_as<float, 16>(out, dwca::native::load_as<float, 16>(in));
      return out[15].bits;
    }""")
    build(tmp_path / "copy.cc", tmp_path / "copy", "-O2", *AVX512, using=compiler("c++"))


def test_each_header_compiles_by_itself(tmp_path):
    from dwca_export import kernels

    headers = sorted((kernels.include_dir() / "dwca").glob("*.h"))
    assert {header.name for header in headers} >= {"depthwise.h", "kernels.h", "threads.h"}
    for header in headers:
        (tmp_path / "one.cc").write_text(
            f"#include <dwca/{header.name}>\n#include <dwca/{header.name}>\nint main() {{}}\n"
        )
        build(tmp_path / "one.cc", tmp_path / "one", *PLAIN)
