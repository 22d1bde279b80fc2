"""The wheel brings the zoo: weights, cards, samples, the code that builds the networks, and no more of models/."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dwca_export import __version__

ROOT = Path(__file__).resolve().parents[1]
ZOO = ROOT / "models/zoo"
MOST_BYTES = 8_000_000
INFO = f"dwca_export-{__version__}.dist-info"


def run(*command, **options):
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this source tree, without the native library."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--config-settings", "wheel.cmake=false"]
    done = run("-m", "pip", "wheel", ROOT, "--wheel-dir", folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def installed(wheel, tmp_path):
    """The folder that the wheel was unpacked to."""
    folder = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def command(installed, tmp_path):
    """`command(*words)`: dwca-export of the wheel, from a folder that has nothing to do with the sources."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}

    def call(*words):
        return run("-m", "dwca_export.cli.export", *words, cwd=place, env=environment)

    return call


def misplaced(names):
    """What a wheel must not hold: another package than ours, or of models/ what only training needs."""
    tops = {name for name in names if name.partition("/")[0] not in ("dwca_export", INFO)}
    ours = ("dwca_export/models/__init__.py", "dwca_export/models/nets.py", "dwca_export/models/zoo/")
    inner = {name for name in names if name.startswith("dwca_export/models/") and not name.startswith(ours)}
    return sorted(tops | inner)


def test_the_wheel_holds_the_whole_zoo(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        held = {name: archive.read(name) for name in names if name.startswith("dwca_export/models/zoo/")}
        nets = archive.read("dwca_export/models/nets.py")
    assert held == {f"dwca_export/models/zoo/{path.name}": path.read_bytes() for path in ZOO.iterdir()}
    assert nets == (ROOT / "models/nets.py").read_bytes()
    assert misplaced(names) == []
    assert wheel.stat().st_size < MOST_BYTES


@pytest.mark.parametrize(
    "name",
    [
        "models/__init__.py",
        "models/nets.py",
        "tests/x.py",
        "dwca_export/models/train.py",
        "dwca_export/models/data/x.py",
    ],
)
def test_a_file_that_does_not_belong_into_it_is_found(name):
    assert misplaced(["dwca_export/zoo.py", "dwca_export/models/nets.py", f"{INFO}/METADATA", name]) == [name]


def test_a_name_is_exported_from_the_installed_wheel(command, installed, tmp_path):
    done = command("zoo:fashion_baseline", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert Path(document["bundle"]) == tmp_path / "elsewhere/fashion_baseline_ncnn_model"
    card = json.loads((installed / "dwca_export/models/zoo/fashion_baseline.card.json").read_text())
    assert document["source"]["sha256"] == card["sha256"]
    assert document["samples"]["origin"] == "128 images of fashion_samples.npz"


def test_the_list_is_that_of_the_installed_wheel(command, installed):
    (installed / "dwca_export/models/zoo/fashion_dwca.pt").unlink()
    done = command("zoo:list")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["zoo:fashion_dwca"].endswith("weights absent")
    assert lines["zoo:fashion_baseline"].endswith("MB")


def test_damaged_and_absent_weights_are_refused(command, installed):
    weights = installed / "dwca_export/models/zoo/fashion_dwca.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    done = command("zoo:fashion_dwca")
    assert (done.returncode, done.stdout) == (3, "")
    assert "damaged or of another training" in done.stderr
    weights.unlink()
    done = command("zoo:fashion_dwca")
    assert done.returncode == 3
    assert f"its weights {weights} are not there" in done.stderr
    assert "models/zoo/fashion_dwca.pt of dwca-export's source repository" in done.stderr


def test_a_wheel_without_the_zoo_says_so(command, installed):
    shutil.rmtree(installed / "dwca_export/models")
    # A package of that name beside the installed one is somebody else's, whatever it holds.
    shutil.copytree(ROOT / "models/zoo", installed / "models/zoo")
    shutil.copy(ROOT / "models/nets.py", installed / "models")
    done = command("zoo:fashion_dwca")
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds none" in done.stderr
