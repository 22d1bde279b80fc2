"""The AArch64 Python of tools/arm: how it is made, what it can do, and the trained networks in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOL = ROOT / "tools/arm"
NEEDED = ("bash", "cat", "cut", "dirname", "dpkg-deb", "flock", "mkdir", "realpath", "rm", "sed", "sha256sum")

# Has the machine fp16 arithmetic?
PROCESSORS = {"a53": False, "a76": True, "max": True}

# Kernel size, stride, channels in packs of 8 or not, output width modulo 4, mode. In fp16 arithmetic ncnn's 3x3 stride
# 2 kernel for packs of 8 works on 4 columns, then on 2, then on 1. On 2, the right one's third tap comes from the first
# row for all three rows (convdw3x3s2_pack8_fp16sa_neon, `ld1 {v21.8h}, [%1]` and `ld1 {v26.8h}, [%1]`).
KNOWN_FAULTS = {(3, 2, True, rest, "fp16-arithmetic") for rest in (2, 3)}
# It spoils the baseline network, whose 3x3 stride 2 layers make widths of 14 and 7. This is the first of them.
SPOILED = {"fashion_dwca": None, "fashion_baseline": "trunk.stages.1.0.dw_conv"}


def arm(*command: str, cpu: str = "a76", **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOL), "--cpu", cpu, *command], capture_output=True, text=True, timeout=600, check=False, **options
    )


def output(*command: str, cpu: str = "a76") -> Any:
    done = arm("python", *command, cpu=cpu)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--cpu"],
        ["--cpu", "a53"],
        ["--cpu", "planted", "true"],
        ["--planted"],
        ["--wheel"],
        ["--wheel", "planted.whl", "true"],
    ],
)
def test_wrong_usage_is_refused(arguments):
    done = subprocess.run([str(TOOL), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "arm: usage: tools/arm [--cpu a53|a76|max] [--wheel FILE] COMMAND...\n"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A copy of what tools/arm reads of the repository, and a folder `bin` with all it needs but apt-get."""
    for name in ("pyproject.toml", "tools/arm", "tools/constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or pytest.skip(f"needs {name}"))
    return tmp_path


def start_bare(bare: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(bare / "tools/arm"), "true"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": str(bare / "bin"), **environment},
    )


@pytest.mark.parametrize(
    ("missing", "advice"),
    [
        ("apt-get", "apt-get is missing: this needs Debian or Ubuntu"),
        ("dpkg-deb", "dpkg-deb is missing: this needs Debian or Ubuntu"),
        ("flock", "flock is missing: apt-get install util-linux"),
        ("pip", "pip is missing: apt-get install python3-pip, or tools/venv"),
    ],
)
def test_what_is_missing_is_named(bare, missing, advice):
    (bare / "bin/apt-get").symlink_to("/bin/true")
    (bare / "bin" / missing).unlink(missing_ok=True)
    done = start_bare(bare, PYTHON="/bin/false")
    assert done.returncode != 0
    assert advice in done.stderr
    assert not list((bare / ".arm").glob("python-*"))


def begin_making(repository: Path, stop: signal.Signals) -> str:
    """Start to make the Python of a copy of the repository, stop when packages are being fetched; return its folder."""
    environment = {**os.environ, "PYTHON": sys.executable}
    command = [str(repository / "tools/arm"), "true"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    ) as process:
        assert process.stderr is not None
        announced = process.stderr.readline()
        assert process.stderr.readline() == "arm: 1/3 packages\n"
        os.killpg(process.pid, stop)
        process.communicate(timeout=60)
    assert process.returncode != 0
    return announced.split()[-1]


@pytest.mark.arm
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_half_made_is_not_used(bare, stop):
    tree = Path(begin_making(bare, stop))
    assert tree.parent == bare / ".arm"
    assert not tree.exists()
    # The next one starts again: no lock is left, and nothing of what the first one made.
    (bare / ".arm/making").mkdir(exist_ok=True)
    (bare / ".arm/making/planted").touch()
    assert begin_making(bare, signal.SIGTERM) == str(tree)
    assert not (bare / ".arm/making/planted").exists()


@pytest.mark.arm
@pytest.mark.parametrize("file", ["tools/constraints.txt", "pyproject.toml", "tools/arm"])
def test_another_python_is_made_when_its_ingredients_change(bare, file):
    before = begin_making(bare, signal.SIGTERM)
    text = (bare / file).read_text()
    (bare / file).write_text(
        text.replace('  "numpy', '  "idna",\n  "numpy') if file == "pyproject.toml" else text + "#\n"
    )
    assert begin_making(bare, signal.SIGTERM) != before
    (bare / file).write_text(text)
    assert begin_making(bare, signal.SIGTERM) == before


@pytest.mark.arm
@pytest.mark.parametrize("cpu", PROCESSORS)
def test_the_processor_is_what_was_asked_for(cpu):
    code = (
        "import json, platform, sys, ncnn, numpy;"
        "print(json.dumps([platform.machine(), sys.version_info[:2], bool(ncnn.cpu_support_arm_asimdhp()),"
        "f'ncnn=={ncnn.__version__}', f'numpy=={numpy.__version__}']))"
    )
    machine, version, fp16, *packages = output("-c", code, cpu=cpu)
    assert (machine, version, fp16) == ("aarch64", [3, 11], PROCESSORS[cpu])
    assert set(packages) <= set((ROOT / "tools/constraints.txt").read_text().split())


@pytest.mark.arm
def test_it_says_that_it_is_emulation():
    done = arm("true", cpu="a53")
    assert done.stderr == "arm: cortex-a53, emulated by qemu: right for numbers, meaningless for time\n"
    assert done.stdout == ""


@pytest.mark.arm
def test_the_exit_status_is_that_of_the_command():
    assert arm("python", "-c", "raise SystemExit(5)").returncode == 5


@pytest.mark.arm
@pytest.mark.parametrize("program", ["sys.executable", "'python'", "'python3'"])
def test_children_are_emulated_too(program):
    child = "import json, platform, ncnn; print(json.dumps([platform.machine(), ncnn.cpu_support_arm_asimdhp()]))"
    code = f"import subprocess, sys; subprocess.run([{program}, '-c', {child!r}], check=True)"
    assert output("-c", code, cpu="a53") == ["aarch64", 0]


@pytest.mark.arm
def test_the_package_and_its_command_line_are_there(tmp_path):
    environment = {**os.environ, "PYTHONPATH": "/planted"}
    done = arm("python", "-m", "dwca_export.cli.export", "--help", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "--precision" in done.stdout


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The trained networks, exported on this machine."""
    folder = tmp_path_factory.mktemp("bundles")
    for name in SPOILED:
        network = [f"models/zoo/{name}.pt", "--arch", "models/nets.py:classifier"]
        data = ["--images", "models/zoo/fashion_samples.npz", "--samples", "4", "--precision", "fp32,fp16"]
        command = [sys.executable, "-m", "dwca_export.cli.export", *network, *data, "--out", str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
    return {name: folder / f"{name}_ncnn_model" for name in SPOILED}


@pytest.mark.arm
@pytest.mark.parametrize("network", SPOILED)
@pytest.mark.parametrize("cpu", PROCESSORS)
def test_parity_of_the_trained_networks(bundles, network, cpu):
    spoiled = SPOILED[network] if PROCESSORS[cpu] else None
    done = arm("python", "-m", "dwca_export.cli.parity", str(bundles[network]), "--json", cpu=cpu)
    assert done.returncode == (5 if spoiled else 0), done.stderr
    document = json.loads(done.stdout)
    assert document["machine"]["processor"] == "aarch64"
    assert (document["first_fault"] or {}).get("layer") == spoiled
    found = {(one["precision"], one["mode"]): one["status"] for one in document["modes"]}
    in_fp16 = ("failed" if spoiled else "passed") if PROCESSORS[cpu] else "not run"
    modes = {"fp32": "passed", "fp16-storage": "passed", "fp16-arithmetic": in_fp16, "bf16-storage": "passed"}
    assert found == {(precision, mode): status for precision in ("fp32", "fp16") for mode, status in modes.items()}


@pytest.mark.arm
@pytest.mark.parametrize("cpu", PROCESSORS)
def test_depthwise_kernels_are_right_but_for_the_known_fault(cpu):
    found = output("tests/arm_depthwise.py", cpu=cpu)
    places = {(k, stride, c % 8 == 0, width % 4, mode) for k, stride, c, width, mode, _ in found}
    assert places == (KNOWN_FAULTS if PROCESSORS[cpu] else set())
    # The right column of the last pair, in every row that is not the first of its kernel.
    assert all(columns == [width - 1 - width % 2] for *_, width, _, columns in found)
