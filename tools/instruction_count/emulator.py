"""An AArch64 Python under a qemu that counts instructions: the tree of `tools/arm`, another qemu, and our plugin.

The qemu of `tools/arm` is static and loads no plugins. This one is Debian 12's dynamic qemu-user 7.2 with the libraries
that it needs, C library and loader included, so that it runs on any distribution. Both are kept beside the
tree of `tools/arm`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CPUS = ("a53", "a76")
# Compilers of this machine that can make the plugin, in the order in which they are tried.
COMPILERS = (("cc",), ("gcc",), ("clang",), (sys.executable, "-m", "ziglang", "cc"))
# Bounds for a download on a slow line, and for the slowest region, which runs a hundred times slower than a device.
_MAKE_SECONDS = 1200
_RUN_SECONDS = 1800


class CountError(Exception):
    """Something keeps the instructions from being counted: what it is and what to do."""


@dataclass(frozen=True)
class Emulator:
    """An AArch64 Python that writes how often each block of code was executed between two marks.

    Attributes:
        python: The folder of `tools/arm` with AArch64's `root`.
        path: From where the package is imported: PYTHONPATH.
        qemu: The folder with qemu and its libraries.
        plugin: The plugin, compiled for this machine.
    """

    python: Path
    path: str
    qemu: Path
    plugin: Path

    @classmethod
    def make(cls, wheel: Path | None = None) -> Emulator:
        """Make what is not there yet.

        Args:
            wheel: Our AArch64 wheel; None for the source tree, in which `tools/build --arm` puts the native library.

        Raises:
            CountError: Something is missing on this machine, or cannot be downloaded.
        """
        python, path = _arm_python(wheel)
        cache = python.parent
        with _locked(cache / "icount.lock"):
            qemu = cache / f"qemu-{_key(HERE / 'packages.sh')}"
            if not qemu.is_dir():
                _make_qemu(qemu)
            plugin = cache / f"icount-{_key(HERE / 'plugin.c')}.so"
            if not plugin.is_file():
                compile_plugin(plugin)
        return cls(python, path, qemu, plugin)

    def run(self, cpu: str, arguments: Sequence[str], *, text: bool = False) -> str:
        """Run Python.

        Args:
            cpu: One of `CPUS`.
            arguments: Of Python: the program and its own. What it prints goes to standard error.
            text: Whether executed instructions are disassembled; slower.

        Returns:
            What the plugin wrote.

        Raises:
            CountError: The plugin cannot be loaded, or the program failed.
        """
        with tempfile.TemporaryDirectory(prefix="icount-") as folder:
            out = Path(folder) / "out"
            command = [*self._qemu(), "-plugin", f"{self.plugin},out={out}{',text=on' if text else ''}"]
            command += ["-L", str(self.python / "root"), str(self.python / "root/usr/bin/python3.11"), *arguments]
            environment = _environment(cpu, self.path)
            done = subprocess.run(command, env=environment, stdout=sys.stderr, timeout=_RUN_SECONDS, check=False)
            if not out.exists():
                raise CountError(
                    f"qemu did not load the plugin {self.plugin}: see its message; delete the file to retry"
                )
            if done.returncode != 0:
                raise CountError(f"the emulated Python stopped with exit code {done.returncode}: see its message")
            return out.read_text(encoding="utf-8")

    def _qemu(self) -> list[str]:
        loader = next((self.qemu / "lib").glob("*/ld-linux-*.so.*"))
        libraries = [str(path) for part in ("lib", "usr/lib") for path in (self.qemu / part).glob("*-linux-gnu*")]
        return [str(loader), "--library-path", ":".join(libraries), str(self.qemu / "usr/bin/qemu-aarch64")]


def compile_plugin(plugin: Path, compilers: Sequence[Sequence[str]] = COMPILERS) -> None:
    """Compile the plugin for this machine with the first of the compilers that there is.

    Raises:
        CountError: There is none, or it fails.
    """
    compiler = next((one for one in compilers if _works(one)), None)
    if compiler is None:
        raise CountError("no C compiler for qemu's plugin: apt-get install gcc, or pip install ziglang")
    flags = ["-std=c11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden"]
    made = plugin.with_suffix(".making")
    done = subprocess.run([*compiler, *flags, "-o", str(made), str(HERE / "plugin.c")], check=False)
    if done.returncode != 0:
        raise CountError(f"{' '.join(compiler)} cannot compile {HERE / 'plugin.c'}: see its message")
    made.rename(plugin)


def _works(compiler: Sequence[str]) -> bool:
    if shutil.which(compiler[0]) is None:
        return False
    return subprocess.run([*compiler, "--version"], capture_output=True, check=False).returncode == 0


def _arm_python(wheel: Path | None) -> tuple[Path, str]:
    """The folder of the AArch64 Python, and where it imports the package from: `tools/arm` makes and knows both."""
    if wheel is not None and not wheel.is_file():
        raise CountError(f"there is no wheel {wheel}: tools/wheels makes one")
    installed = ["--wheel", str(wheel)] if wheel else []
    command = [str(REPOSITORY / "tools/arm"), *installed, "sh", "-c", "command -v python && printenv PYTHONPATH"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=_MAKE_SECONDS, check=False)
    if done.returncode != 0:
        raise CountError("tools/arm cannot make the AArch64 Python: see its message")
    python, path = done.stdout.splitlines()
    return Path(python).parents[1], path


def _make_qemu(folder: Path) -> None:
    print("icount: downloading a qemu that loads plugins", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as making:
        command = [str(HERE / "packages.sh"), making, "qemu-user"]
        if subprocess.run(command, timeout=_MAKE_SECONDS, check=False).returncode != 0:
            raise CountError("cannot download qemu-user of Debian 12: see the message above")
        kept = Path(making) / "kept"
        (kept / "usr/bin").mkdir(parents=True)
        for part in ("lib", "usr/lib", "usr/bin/qemu-aarch64"):
            (Path(making) / part).rename(kept / part)
        kept.rename(folder)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _key(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _environment(cpu: str, path: str) -> dict[str, str]:
    """What makes two runs the same: one thread, no seeds of the day."""
    host = {
        name: value for name, value in os.environ.items() if name not in {"LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONHOME"}
    }
    return host | {
        "QEMU_CPU": f"cortex-{cpu}",
        "QEMU_RAND_SEED": "0",
        "PYTHONPATH": path,
        "PYTHONNOUSERSITE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
