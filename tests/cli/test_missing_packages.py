from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dwca_export.cli import export


def run_without(packages, *arguments):
    """The command in a fresh Python that does not have some packages."""
    code = f"""
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {packages!r} else find_spec(name, package)
sys.meta_path.insert(0, Hide())
from dwca_export.cli.export import main
sys.argv = ["dwca-export", *{list(map(str, arguments))!r}]
main()
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_without_the_export_packages_it_says_what_to_install(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    done = run_without(export._MODULES, tmp_path / "model.pt", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == (
        "error: exporting needs packages that are not installed: "
        "torch, onnx, onnxruntime, onnxscript, onnxsim, pnnx, pillow\n"
        "  -> pip install 'dwca-export[export]'\n"
    )
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("missing", ["pnnx", "onnxscript"])
def test_one_missing_package_is_named(missing):
    done = run_without((missing,), "model.pt", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["what"].endswith(f"not installed: {missing}")
    assert error["hint"] == "pip install 'dwca-export[export]'"


def test_help_needs_none_of_them():
    done = run_without(export._MODULES, "--help")
    assert done.returncode == 0
    assert "--trust-all" in done.stdout
