"""The GitHub action and the example for any CI: their commands install the package and judge a real bundle."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from documents import ROOT, fences, page, section

from dwca_export import __version__

NAME = "fashion_dwca_ncnn_model"
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip takes for the package index: it holds a wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(folder)]
    # Without the native library, which would take minutes to compile.
    environment = {**os.environ, "SKBUILD_WHEEL_CMAKE": "false"}
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True, env=environment)
    return folder


@pytest.fixture
def place(bundle: Path, tmp_path: Path) -> Path:
    """An empty folder with a bundle."""
    shutil.copytree(bundle, tmp_path / NAME)
    return tmp_path


def bash(script: str, place: Path, wheels: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as GitHub runs it, in an environment into which pip installs without reaching out."""
    installed = place / "installed"
    variables = {
        **{name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"},
        "PATH": os.pathsep.join([str(installed / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(installed),
        "PIP_TARGET": str(installed),
        "PIP_UPGRADE": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it the other way round: no isolation
        **environment,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=place, env=variables, capture_output=True, text=True, check=False, timeout=300)


def resolved(text: str, values: dict[str, str]) -> str:
    """Fill in GitHub's expressions; an unknown one is an error."""
    return re.sub(r"\$\{\{ *(.+?) *\}\}", lambda match: values[match[1]], text)


def run_action(place: Path, wheels: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the steps one after the other until one fails."""
    given = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()} | inputs
    values = {**{f"inputs.{name}": value for name, value in given.items()}, "github.action_path": str(ROOT)}
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]  # an input may hold anything: it reaches the shell as a variable alone
        environment = {name: resolved(text, values) for name, text in step["env"].items()}
        done = bash(step["run"], place, wheels, **environment)
        if done.returncode:
            break
    return done


def installed_here(place: Path) -> bool:
    package = place / "installed/dwca_export"
    return (package / "cli/parity.py").is_file() and not list(package.rglob("*.so"))


def test_the_action_is_composite_and_uploads_nothing() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert all("uses" not in step for step in ACTION["runs"]["steps"])
    assert all(one["description"] for one in ACTION["inputs"].values())
    assert ACTION["inputs"]["bundle"]["required"] is True


@pytest.mark.parametrize("version", ["", __version__])
def test_the_action_judges_a_bundle(place: Path, wheels: Path, version: str) -> None:
    options = {"arguments": "--mode fp32 --threads 1", "junit": "report of parity.xml", "version": version}
    done = run_action(place, wheels, bundle=NAME, **options)
    assert done.returncode == 0, done.stderr
    assert installed_here(place)
    assert done.stdout.endswith("verdict: passed\n")
    assert ET.parse(place / "report of parity.xml").getroot().tag == "testsuites"  # noqa: S314  ours


def test_the_action_fails_with_the_code_of_the_command(place: Path, wheels: Path) -> None:
    (place / NAME / "model.ncnn.bin").write_bytes(b"")
    done = run_action(place, wheels, bundle=NAME)
    assert done.returncode == 3
    assert "model.ncnn.bin was changed" in done.stderr


@pytest.mark.parametrize("name", ["-h", "a b; touch planted", "$(touch planted)", "*"])
def test_what_the_action_is_given_is_never_run(place: Path, wheels: Path, name: str) -> None:
    done = run_action(place, wheels, bundle=name)
    assert done.returncode == 3
    assert "there is no such folder" in done.stderr
    assert not (place / "planted").exists()


def test_the_example_for_any_ci(place: Path, wheels: Path) -> None:
    (script,) = fences(section(page("parity"), "In CI", level=2), "sh")
    done = bash(script, place, wheels)
    assert done.returncode == 0, done.stderr
    assert installed_here(place)
    assert ET.parse(place / "parity.xml").getroot().get("failures") == "0"  # noqa: S314  ours
    (place / NAME / "golden.npz").unlink()
    assert bash(script, place, wheels).returncode == 3


def test_the_example_for_github_gives_inputs_that_there_are(place: Path, wheels: Path) -> None:
    (text,) = fences(section(page("parity"), "In CI", level=2), "yaml")
    (step,) = [step for step in yaml.safe_load(text) if step["uses"].startswith("./")]
    assert set(step["with"]) <= set(ACTION["inputs"])
    done = run_action(place, wheels, **step["with"])
    assert done.returncode == 0, done.stderr
