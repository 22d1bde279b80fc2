"""C++ programs that are compiled against the kernels' headers alone."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dwca_export import kernels

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror")


# As tools/build: zig compiles its C++ library anew for each target, and each set of -m flags, for minutes.
HERE = f"{platform.machine()}-linux-gnu.2.28"


def compiler(name: str, target: str = HERE) -> list[str]:
    """The command of a C++ compiler, by its name: `c++`, the machine's, `zig`, the development environment's.

    Args:
        name: The compiler's.
        target: What zig compiles for.
    """
    if name == "zig" and importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "c++", "-target", target]
    found = shutil.which(os.environ.get("CXX", "c++"))
    if name != "zig" and found:
        return [found]
    pytest.skip(f"no C++ compiler {name}: " + ("tools/venv" if name == "zig" else "apt-get install g++"))


def any_compiler() -> list[str]:
    return compiler("zig" if importlib.util.find_spec("ziglang") else "c++")


def build(source: Path, program: Path, *options: str, using: list[str] | None = None) -> Path:
    """Compile and link; warnings are errors."""
    command = [*(using or any_compiler()), *FLAGS, f"-I{kernels.include_dir()}", *options, str(source), "-pthread"]
    done = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [str(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, **options)  # type: ignore[call-overload]
