"""Imports point one way, and what runs on a device needs numpy and ncnn only."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dwca_export"

# What only `pip install 'dwca-export[export]'` brings.
EXPORT_ONLY = ("torch", "onnx", "onnxruntime", "onnxscript", "onnxsim", "pnnx", "PIL")

DEVICE = (
    "dwca_export",
    "dwca_export.artifacts",
    "dwca_export.audit.check",
    "dwca_export.audit.document",
    "dwca_export.bench.alone",
    "dwca_export.bench.compare",
    "dwca_export.bench.conditions",
    "dwca_export.bench.export",
    "dwca_export.bench.layers",
    "dwca_export.bench.machine",
    "dwca_export.bench.model",
    "dwca_export.bench.network",
    "dwca_export.bench.results",
    "dwca_export.bench.schedule",
    "dwca_export.bench.session",
    "dwca_export.bench.statistics",
    "dwca_export.bench.target",
    "dwca_export.bench.variants",
    "dwca_export.bench.worker",
    "dwca_export.bundle",
    "dwca_export.cli.bench",
    "dwca_export.cli.bench_output",
    "dwca_export.cli.detect",
    "dwca_export.cli.detect_output",
    "dwca_export.cli.export",
    "dwca_export.cli.parity",
    "dwca_export.cli.parity_output",
    "dwca_export.cli.parity_settings",
    "dwca_export.detect.decode",
    "dwca_export.detect.files",
    "dwca_export.detect.pictures",
    "dwca_export.errors",
    "dwca_export.kernels",
    "dwca_export.kernels.auto",
    "dwca_export.ncnn.graph",
    "dwca_export.ncnn.param",
    "dwca_export.ncnn.passes",
    "dwca_export.ncnn.weights",
    "dwca_export.parity.judge",
    "dwca_export.parity.measure",
    "dwca_export.parity.tolerances",
    "dwca_export.progress",
    "dwca_export.report.bench_text",
    "dwca_export.report.html",
    "dwca_export.report.kernel_paths",
    "dwca_export.report.text",
    "dwca_export.request",
    "dwca_export.runners.bundle",
    "dwca_export.runners.child",
    "dwca_export.runners.exchange",
    "dwca_export.runners.ncnn",
    "dwca_export.runners.worker",
    "dwca_export.samples",
    "dwca_export.shapes",
    "dwca_export.sizes",
    "dwca_export.staging",
    "dwca_export.templates",
    "dwca_export.waiting_child",
    "dwca_export.zoo",
)

# Top-level names of the package, lowest first: a module imports from its own line and from those above it here.
LAYERS = (
    ("errors", "exit_status", "onnxsim_worker"),
    ("waiting_child",),
    ("shapes", "paths", "system_files", "emulation"),
    ("artifacts", "ncnn", "limits"),
    ("block", "kernels", "rewrites", "returned", "onnx_names"),
    ("blocks", "training", "taps", "loading", "images", "kernel_paths"),
    ("report", "progress", "request", "sizes", "bundle", "parity", "samples"),
    ("runners", "staging", "templates", "zoo"),
    ("audit", "detect"),
    ("bench",),
    ("load", "prepare", "to_onnx", "simplify", "to_ncnn", "generalise", "optimise"),
    ("workers",),
    ("conversion",),
    ("proof", "manifest"),
    ("alignment",),
    ("pipeline",),
    ("cli",),
)


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def import_without(modules, names):
    """Import `names` in a fresh Python in which the import of any of `modules` fails."""
    code = f"""
import importlib, sys

class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {tuple(modules)!r}:
            raise ImportError(f"{{name}} is banned")

sys.meta_path.insert(0, Ban())
for name in {tuple(names)!r}:
    importlib.import_module(name)
"""
    return run_python(code)


def test_device_modules_import_without_the_export_packages():
    done = import_without(EXPORT_ONLY, DEVICE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["dwca_export.pipeline", "dwca_export.block", "dwca_export.to_ncnn"])
def test_the_ban_works(module):
    done = import_without(EXPORT_ONLY, [module])
    assert done.returncode == 1
    assert "is banned" in done.stderr


def test_help_imports_nothing_heavy():
    code = """
import sys
from dwca_export.cli.export import app
from dwca_export.cli.options import start

sys.argv = ["dwca-export", "--help"]
assert start(app) == 0
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""
    done = run_python(code)
    assert "--trust" in done.stdout, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split()[1:])
    assert "typer" in loaded
    assert not loaded & {*EXPORT_ONLY, "numpy", "ncnn", "scipy", "sympy"}


def test_help_of_measurements_imports_nothing_heavy():
    code = """
import sys
from dwca_export.cli.bench import app
from dwca_export.cli.options import start

sys.argv = ["dwca-bench", "model", "--help"]
assert start(app) == 0
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""
    done = run_python(code)
    assert "--variants" in done.stdout, done.stderr
    assert not set(done.stdout.splitlines()[-1].split()[1:]) & {*EXPORT_ONLY, "numpy", "ncnn"}


def top(module):
    """The part of the package a module belongs to: `runners` for `dwca_export.runners.ncnn`."""
    return module.removeprefix("dwca_export").removeprefix(".").partition(".")[0]


def modules():
    """Every module of the package with its file."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_for_type_checkers(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(tree, known, *, typing):
    """The modules of the package that a syntax tree imports, anywhere in it."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if is_for_type_checkers(node) and not typing:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dwca_export"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("dwca_export")}
        found |= imports(node, known, typing=typing)
    return found


def import_graph(*, typing):
    known = modules()
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in known.items()}
    return {name: imports(tree, known, typing=typing) for name, tree in trees.items()}


def violations(graph):
    """Imports that point upwards."""
    level = {name: index for index, names in enumerate(LAYERS) for name in names}
    return [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in others
        if module != "dwca_export" and top(other)  # the package itself names all that is public
        if level[top(module)] < level[top(other)]
    ]


def test_every_module_has_a_layer():
    layered = {name for names in LAYERS for name in names}
    assert {top(module) for module in modules()} - {""} == layered


def test_imports_point_one_way():
    # Those for the eyes of type checkers (`if TYPE_CHECKING`) count too.
    assert violations(import_graph(typing=True)) == []


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("dwca_export.runners.ncnn", "dwca_export.to_ncnn"),
        ("dwca_export.rewrites.mean_pooling", "dwca_export.pipeline"),
        ("dwca_export.ncnn.passes.remove_dead", "dwca_export.cli.export"),
        ("dwca_export.report.html", "dwca_export.pipeline"),
        ("dwca_export.errors", "dwca_export.shapes"),
    ],
)
def test_an_import_that_points_upwards_is_found(module, other):
    assert violations({module: {other}}) == [f"{module} imports {other}"]


def test_imports_within_functions_are_seen():
    tree = ast.parse("def f():\n    from dwca_export import load\n    import dwca_export.cli.export\n")
    known = modules()
    assert imports(tree, known, typing=False) == {"dwca_export.load", "dwca_export.cli.export"}


def test_modules_do_not_import_each_other_in_a_circle():
    TopologicalSorter(import_graph(typing=False)).prepare()
