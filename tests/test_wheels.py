"""The native library: built, packed into wheels for both processors, and left out where there is no compiler."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from dwca_export import __version__

ROOT = Path(__file__).resolve().parents[1]
PROCESSORS = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}
# What PEP 600 lets a wheel find on every machine.
SYSTEM = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
NEWEST_GLIBC = (2, 28)
WITHOUT_ISOLATION = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **{"timeout": 900, **options})


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of what the package is built from, without what was built."""
    copy = tmp_path / "sources"
    copy.mkdir()
    for name in ("CHANGELOG.md", "CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    for name in ("dwca_export", "models", "tools"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (copy / "tests").mkdir()
    return copy


# -- without a compiler


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The Python of an environment that has what this one has, but not the package."""
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    found = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    (Path(found.stdout.strip()) / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def install(python: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Install with a PATH that has cmake and ninja, and no compiler."""
    tools = python.parents[1] / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("cmake", "ninja"):
        if not (tools / name).exists():
            (tools / name).symlink_to(Path(sysconfig.get_path("scripts")) / name)
    command = [str(python), "-m", "pip", "install", *WITHOUT_ISOLATION, *arguments]
    return run(*command, env={**unset("CC", "CXX", "DWCA_NATIVE", "PYTHONPATH"), "PATH": str(tools), **environment})


def unset(*names: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in names}


def told(python: Path, code: str) -> Any:
    program = f"import json; from dwca_export import kernels; print(json.dumps({code}))"
    done = run(str(python), "-c", program, cwd="/", env=unset("PYTHONPATH"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_a_compiler_it_installs_and_says_what_is_missing(sources, bare):
    done = install(bare, str(sources))
    assert done.returncode == 0, done.stderr
    place, missing = told(bare, "[kernels.__file__, kernels.missing()]")
    assert str(bare.parents[1]) in place
    assert "compiler" in missing
    assert (Path(place).with_name("include") / "dwca/depthwise.h").is_file()


def test_without_a_compiler_it_installs_in_place(sources, bare):
    done = install(bare, "--editable", str(sources))
    assert done.returncode == 0, done.stderr
    place, missing = told(bare, "[kernels.__file__, kernels.missing()]")
    assert Path(place) == sources / "dwca_export/kernels/__init__.py"
    assert "compiler" in missing


def test_without_a_compiler_the_native_library_cannot_be_forced(sources, bare):
    done = install(bare, str(sources), DWCA_NATIVE="1")
    assert done.returncode != 0
    assert "compiler" in done.stdout + done.stderr


# -- faults in the sources


@pytest.mark.parametrize("tool", ["build", pytest.param("wheels", marks=pytest.mark.slow)])
def test_a_fault_in_a_source_is_not_hidden(sources, tool):
    planted = sources / "dwca_export/kernels/src/isa_scalar.cc"
    planted.write_text("#error planted\n" + planted.read_text())
    # Nothing else has to be compiled for it.
    for other in planted.parent.glob("*.cc"):
        if other != planted:
            other.unlink()
    arguments = [os.uname().machine] if tool == "wheels" else []
    done = run(str(sources / "tools" / tool), *arguments, env={**os.environ, "PYTHON": sys.executable})
    assert done.returncode != 0
    assert "#error planted" in done.stdout
    assert not list(sources.rglob("*.so"))
    assert not list(sources.rglob("*.whl"))


@pytest.mark.parametrize(
    ("tool", "said"),
    [("build", "build: usage: tools/build [--arm]\n"), ("wheels", "nothing can be built here for planted\n")],
)
def test_wrong_usage_is_refused(tool, said):
    done = run(str(ROOT / "tools" / tool), "planted", env={**os.environ, "PYTHON": sys.executable})
    assert (done.returncode, done.stderr) == (2, said)


# -- the source distribution


def test_the_source_distribution_holds_what_is_needed_to_build_and_test(sources, tmp_path):
    (sources / "dwca_export/kernels/_native.planted.so").touch()
    (sources / "planted").mkdir()
    (sources / "planted/file").touch()
    code = "import sys; from scikit_build_core.build import build_sdist; print(build_sdist(sys.argv[1]))"
    done = run(sys.executable, "-c", code, str(tmp_path), cwd=sources)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / f"dwca_export-{__version__}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in names if "/" not in name} == {
        "CHANGELOG.md",
        "CMakeLists.txt",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
    }
    assert "dwca_export/kernels/src/isa_scalar.cc" in names
    assert "dwca_export/kernels/include/dwca/depthwise.h" in names
    assert {"models/nets.py", "models/zoo/fashion_dwca.pt", "models/zoo/fashion_dwca.card.json"} <= names
    assert not any("planted" in name for name in names)


# -- the wheels


def newest_glibc(library: ELFFile) -> tuple[int, ...]:
    """The newest version of glibc's symbols that a library asks for."""
    section = library.get_section_by_name(".gnu.version_r")
    names = [entry.name for _, entries in section.iter_versions() for entry in entries]
    versions = [re.fullmatch(r"GLIBC_(\d+(?:\.\d+)*)", name) for name in names]
    assert all(versions), names
    return max(tuple(map(int, version[1].split("."))) for version in versions if version)


def wanted_libraries(library: ELFFile) -> set[str]:
    return {tag.needed for tag in library.get_section_by_name(".dynamic").iter_tags("DT_NEEDED")}


def opened(path: Path) -> ELFFile:
    return ELFFile(io.BytesIO(path.read_bytes()))


@pytest.fixture(scope="module")
def wheels() -> dict[str, Path]:
    """The wheel of each processor, as tools/wheels names them."""
    done = run(str(ROOT / "tools/wheels"), env={**os.environ, "PYTHON": sys.executable}, timeout=2400)
    assert done.returncode == 0, done.stdout + done.stderr
    built = [ROOT / line for line in done.stdout.splitlines() if line.startswith("dist/")]
    return {path.stem.rpartition("_2_28_")[2]: path for path in built}


@pytest.mark.arm
@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_wheel_holds_what_its_tag_promises(wheels, processor):
    assert set(wheels) == set(PROCESSORS)
    version = "311" if processor == "aarch64" else f"{sys.version_info.major}{sys.version_info.minor}"
    tag = f"cp{version}-cp{version}-manylinux_2_28_{processor}"
    assert wheels[processor].name == f"dwca_export-{__version__}-{tag}.whl"
    with zipfile.ZipFile(wheels[processor]) as wheel:
        names = set(wheel.namelist())
        assert f"Tag: {tag}\n" in wheel.read(f"dwca_export-{__version__}.dist-info/WHEEL").decode()
        native = [name for name in names if name.endswith(".so")]
        assert native == [f"dwca_export/kernels/_native.cpython-{version}-{processor}-linux-gnu.so"]
        library = ELFFile(io.BytesIO(wheel.read(native[0])))
    assert library["e_machine"] == PROCESSORS[processor]
    assert newest_glibc(library) <= NEWEST_GLIBC
    assert wanted_libraries(library) <= SYSTEM
    assert "dwca_export/kernels/include/dwca/depthwise.h" in names
    assert not any(name.startswith("dwca_export/kernels/src/") for name in names)


@pytest.mark.parametrize(
    ("glibc", "found"),
    [
        ("2.28", (2, 2, 5)),
        ("2.34", (2, 34)),  # planted: too new for the tag
    ],
)
def test_a_library_for_a_newer_glibc_is_found(tmp_path, glibc, found):
    (tmp_path / "planted.c").write_text("#include <dlfcn.h>\nvoid *planted(void) { return dlopen(0, 0); }\n")
    library = tmp_path / "planted.so"
    options = ["-target", f"x86_64-linux-gnu.{glibc}", "-O2", "-shared", "-fPIC", "-ldl", "-o", str(library)]
    command = [sys.executable, "-m", "ziglang", "cc", *options, str(tmp_path / "planted.c")]
    assert run(*command).returncode == 0
    assert newest_glibc(opened(library)) == found


# -- on a device, emulated: the wheel alone, and no compiler

ISAS = {"a53": ["scalar", "neon"], "a76": ["scalar", "neon", "neon_fp16"]}
FACTS = """
import json, shutil
from dwca_export import kernels
compilers = [name for name in ("c++", "cc", "g++", "gcc", "clang++", "clang", "zig", "cmake") if shutil.which(name)]
print(json.dumps({"file": kernels.__file__, "isas": kernels.isas(), "compilers": compilers}))
"""
# What tools/arm needs to start a command.
NEEDED = ("bash", "cat", "cut", "dirname", "flock", "mkdir", "mv", "realpath", "rm", "sed", "sha256sum")


class Device:
    """A folder with the tests and without the package, and what runs there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "programs"
        programs.mkdir()
        for name in NEEDED:
            (programs / name).symlink_to(shutil.which(name) or pytest.skip(f"needs {name}"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        shutil.copytree(ROOT / "tests/kernels", folder / "tests/kernels")
        self.environment = {
            **unset("CC", "CXX", "PYTHONPATH"),
            "PATH": str(programs),
            "DWCA_CACHE_DIR": str(folder / "cache"),
        }

    def run(self, wheel: Path, cpu: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command with a wheel installed."""
        arm = [str(ROOT / "tools/arm"), "--cpu", cpu, "--wheel", str(wheel)]
        return run(*arm, *command, cwd=self.folder, env=self.environment, timeout=2400)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


@pytest.mark.arm
@pytest.mark.parametrize("cpu", ISAS)
def test_the_wheel_for_aarch64_installs_and_runs(wheels, device, cpu):
    done = device.run(wheels["aarch64"], cpu, "python", "-c", FACTS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found.pop("file").startswith(str(ROOT / "dwca_export"))
    assert found == {"isas": ISAS[cpu], "compilers": []}


@pytest.mark.arm
@pytest.mark.parametrize("cpu", ISAS)
def test_the_kernels_of_the_wheel_pass_their_tests(wheels, device, cpu):
    done = device.run(wheels["aarch64"], cpu, "python", "-m", "pytest", "-q", "-m", "not slow", "tests/kernels")
    assert done.returncode == 0, done.stdout
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > 150  # without the library most would be skipped


@pytest.mark.arm
def test_the_benchmark_of_the_wheel_says_that_it_has_no_times(wheels, device):
    done = device.run(wheels["aarch64"], "a76", "dwca-bench", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["kind"], document["complete"], document["emulated"]) == ("kernels", True, True)
    assert "emulated" in {warning["name"] for warning in document["warnings"]}
    assert document["verdict"] == []
    times = ("p50_us", "p90_us", "p99_us", "min_us", "mad_us", "samples_us", "ratio")
    assert all(row[name] is None for row in document["rows"] for name in times)
    kernels = [row for row in document["rows"] if row.get("kind") != "block"]
    assert {"ncnn", "direct", "winograd_1d F(4,5)", "generic"} <= {row["name"] for row in kernels}
    assert [row["name"] for row in kernels if not row["is_right"]] == []
    assert {row["algorithm"] for row in kernels if row["name"] == "auto"} == {"direct"}


@pytest.mark.arm
def test_the_wheel_of_another_processor_is_refused(wheels, device):
    done = device.run(wheels["x86_64"], "a76", "true")
    assert done.returncode != 0
    assert "is not a supported wheel on this platform" in done.stderr


@pytest.mark.arm
def test_the_wheel_for_this_machine_runs(wheels, bare):
    done = install(bare, str(wheels[os.uname().machine]))
    assert done.returncode == 0, done.stderr
    place, found = told(bare, "[kernels.__file__, kernels.isas()]")
    assert str(bare.parents[1]) in place
    assert found[0] == "scalar"


# -- instructions that the processor may lack


def shared_code(folder: Path) -> dict[str, set[str]]:
    """The functions in files of one instruction set that the linker may take for those of other files."""
    defined = {path.name: weak_functions(path) for path in folder.glob("*.o")}
    others = {name: set().union(*(found for file, found in defined.items() if file != name)) for name in defined}
    return {
        name: found & others[name]
        for name, found in defined.items()
        if re.match(r"isa_(avx|neon_fp16)", name) and found & others[name]
    }


def weak_functions(path: Path) -> set[str]:
    return {
        symbol.name
        for symbol in opened(path).get_section_by_name(".symtab").iter_symbols()
        if symbol["st_info"]["bind"] == "STB_WEAK"
        and symbol["st_info"]["type"] == "STT_FUNC"
        and symbol["st_shndx"] != "SHN_UNDEF"
    }


def objects() -> Path:
    """Where tools/build leaves the compiled files."""
    folder = f"{os.uname().machine}-{sys.implementation.cache_tag}"
    return ROOT / "build/native" / folder / "CMakeFiles/_native.dir/dwca_export/kernels/src"


def test_no_file_lends_its_instructions_to_another():
    # The linker keeps one copy of an inline function that several files define, from whichever file: AVX-512 code
    # would end in what any CPU runs.
    if not objects().is_dir():
        pytest.skip("tools/build has not run")
    assert shared_code(objects()) == {}


def test_a_file_that_lends_its_instructions_is_found(tmp_path):
    (tmp_path / "planted.cc").write_text("inline int planted(int x) { return x; }\nint (*pointer)(int) = planted;\n")
    for name in ("isa_avx2.cc.o", "isas.cc.o"):
        command = [sys.executable, "-m", "ziglang", "c++", "-target", "x86_64-linux-gnu", "-c", "-o"]
        assert run(*command, str(tmp_path / name), str(tmp_path / "planted.cc")).returncode == 0
    assert shared_code(tmp_path) == {"isa_avx2.cc.o": {"_Z7plantedi"}}
