"""What `--trust PACKAGE` lets a pickle use: layers and plain data of that package, and nothing that runs on arguments.

A pickle is a program: it names classes and functions (globals) and calls them. torch's weights-only unpickler knows the
few that weights need. `--trust` adds further ones for one load, under these rules:

1. Only globals that the file names, and only those at or below a package named by `--trust`. The class itself must
   be defined below such a package too: a module of that package that merely imports it is not enough.
2. Only classes, never functions, methods or other callables.
3. A class is a layer (a subclass of `torch.nn.Module`), an Enum, or inert: it brings no `__new__`, `__setstate__`,
   `__del__` or `__call__` of its own (plain classes, dataclasses, named tuples, namespaces).
4. No constructor runs on what the file says: layers and inert classes are made bare and given their attributes, as
   `torch.save` writes them. Only Enum members, namespaces and the values of rules 6 and 7 are made by a call.
5. Of torch: the layers below `torch.nn`, nothing else. torch's own harmless globals need no trust.
6. Of Python itself: the values in `_STDLIB_DATA`, nothing else; so never `eval`, `getattr`, `os.system`, `subprocess`.
7. Of numpy: the values in `_NUMPY_DATA`, nothing else.
8. Only plain names at the top of a module: none with a dot or a space in it, none that begins with two underscores
   (`__main__` too).

To trust a package is to let its modules be imported and its layers run. Everything else needs `--trust-all`.
"""

from __future__ import annotations

import enum
import importlib
import shlex
import sys
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch._weights_only_unpickler import _get_allowed_globals

from dwca_export.errors import InputRefusedError
from dwca_export.loading.importing import importable
from dwca_export.loading.pickle_scan import Global
from dwca_export.loading.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from dwca_export.loading.pickle_scan import PickleScan

    Allowed: TypeAlias = Callable[..., Any] | tuple[Callable[..., Any], str]

_STDLIB_DATA = frozenset(
    {
        "argparse.Namespace",
        "types.SimpleNamespace",
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *(
            f"{module}.{name}"
            for module in ("pathlib", "pathlib._local")  # Python 3.13 writes the latter
            for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
        ),
    }
)
_NUMPY_DATA = frozenset(
    {
        "numpy.dtype",
        "numpy.ndarray",
        *(
            f"numpy.{core}.multiarray.{name}"
            for core in ("core", "_core")  # numpy 1 and 2
            for name in ("scalar", "_reconstruct")
        ),
    }
)
# BUILD is allowed on a dtype only if its class is listed; "O" (Python objects) is left out on purpose.
_NUMPY_DTYPES = tuple(type(np.dtype(code)) for code in "?bBhHiIlLqQefdFD")

_OWN_BEHAVIOUR = {"__new__", "__setstate__", "__del__", "__call__"}
_INERT_BASES = (object, tuple, types.SimpleNamespace)

# Calls a function that it is handed: with trusted classes around, that would run their constructors (rule 4).
_HIGHER_ORDER = "torch._tensor._rebuild_from_type_v2"

_WAY_OUT = (
    "save the weights alone, torch.save(model.state_dict(), ...), and name the network with --arch; "
    "or, only for a file you made yourself, --trust-all, which runs whatever the file holds"
)


def allow(scan: PickleScan, path: Path, trust: Sequence[str]) -> list[Allowed]:
    """Decide what a pickle may use beyond what weights need.

    Args:
        scan: What it would do.
        path: Its file, for the command that the error proposes.
        trust: Packages that the user trusts.

    Returns:
        What to hand to `torch.serialization.safe_globals`: objects and the names the pickle has for them.

    Raises:
        InputRefusedError: It asks for more than the user trusts, or for what no trust in a package allows.
    """
    asked = sorted(found for found in scan.named if found.path not in _get_allowed_globals())
    if not asked:
        return []
    _check_visible(scan, asked)
    _check_covered(asked, path, trust)
    with importable():
        objects = _resolve_all(asked, trust)
    _check_calls(scan, objects)
    allowed: list[Allowed] = [(value, found.path) for found, value in objects.items()]
    if any(found.path in _NUMPY_DATA for found in asked):
        allowed += [(dtype, f"numpy.dtypes.{dtype.__name__}") for dtype in _NUMPY_DTYPES]
    return allowed


def _check_visible(scan: PickleScan, asked: Sequence[Global]) -> None:
    """Rule 4, as far as the scan cannot say what is called."""
    if scan.opaque or any(found.path == _HIGHER_ORDER for found in scan.named):
        names = "".join(f"\n    {printable(found.path)}" for found in asked)
        raise InputRefusedError(
            "it is more than weights, and calls what cannot be seen beforehand (a whole module in torch's format of "
            f"before 1.6?); its pickle asks for{names}",
            hint=f"load it where it was made, and torch.save it again; or {_WAY_OUT}",
        )


def _check_covered(asked: Sequence[Global], path: Path, trust: Sequence[str]) -> None:
    never = {found: reason for found in asked if (reason := _never(found))}
    missing = [found for found in asked if found in never or not _covered(found.path, trust)]
    if not missing:
        return
    lines = [f"    {printable(found.path)}{_bracket(never.get(found, ''))}" for found in missing]
    what = "it is more than weights: its pickle asks for\n" + "\n".join(lines)
    raise InputRefusedError(what, hint=_WAY_OUT if never else _command(path, trust, missing))


def _bracket(reason: str) -> str:
    return f"  (never allowed: {reason})" if reason else ""


def _command(path: Path, trust: Sequence[str], missing: Iterable[Global]) -> str:
    packages = list(dict.fromkeys([*trust, *sorted({_package(found.path) for found in missing})]))
    words = ["dwca-export", str(path), *(word for package in packages for word in ("--trust", package))]
    return f"if you trust the makers of these packages and of this file: {shlex.join(words)}"


def _package(name: str) -> str:
    return "torch.nn" if name.startswith("torch.nn.") else name.partition(".")[0]


def _covered(name: str, trust: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in trust)


def _never(found: Global) -> str:
    """Rules 5 to 8, which need no import: say why a global can never be added, or nothing."""
    path, parts = found.path, found.path.split(".")
    if parts[0] == "__main__":
        return "its class was defined in a script, where nobody else can import it"
    if "." in found.name or any(not part.isidentifier() or part.startswith("__") for part in parts):
        return "not a plain name"
    if parts[0] == "torch" and parts[1:2] != ["nn"]:
        return "of torch, only the layers below torch.nn are"
    if parts[0] == "numpy" and path not in _NUMPY_DATA:
        return "of numpy, only arrays and scalars are"
    if parts[0] in sys.stdlib_module_names and path not in _STDLIB_DATA:
        return "of Python itself, only a few plain values are"
    return ""


def _resolve_all(asked: Iterable[Global], trust: Sequence[str]) -> dict[Global, Any]:
    objects: dict[Global, Any] = {}
    faults: list[str] = []
    for found in asked:
        value = _import(found)
        objects[found] = value
        if found.path not in _NUMPY_DATA and (fault := _fault(value, trust)):
            faults.append(f"    {printable(found.path)}  ({fault})")
    if faults:
        raise InputRefusedError("its pickle asks for what --trust does not cover:\n" + "\n".join(faults), hint=_WAY_OUT)
    return objects


def _import(found: Global) -> Any:
    module_name = found.module.replace("numpy.core.", "numpy._core.")  # the old name warns in numpy 2
    try:
        return vars(importlib.import_module(module_name))[found.name]
    except (Exception, SystemExit) as error:
        raise InputRefusedError(
            f"its class {printable(found.path)} cannot be imported ({one_line(error)})",
            hint="install the package, or run dwca-export in the folder from which training was started",
        ) from error


def _fault(value: Any, trust: Sequence[str]) -> str:
    """Rules 1 to 3 and 5 for an imported object: say why it is not added, or nothing."""
    if not isinstance(value, type):
        return "not a class"
    home = Global(value.__module__, value.__qualname__)
    if not _covered(home.path, trust) or _never(home):
        return f"really {printable(home.path)}, which is not trusted"
    if home.path in _STDLIB_DATA or _is_layer(value):
        return ""
    if home.module.startswith("torch."):
        return "not a layer"
    return "" if _is_plain_data(value) else "neither a layer nor plain data: it has behaviour of its own"


def _is_layer(value: type) -> bool:
    script = issubclass(value, torch.jit.ScriptModule)
    return issubclass(value, nn.Module) and value.__new__ is object.__new__ and not script


def _is_plain_data(value: type) -> bool:
    if issubclass(value, enum.Enum):
        return True
    made = {"__new__"} if issubclass(value, tuple) and hasattr(value, "_fields") else set()  # a named tuple's own
    bases = [base for base in value.__mro__ if base not in _INERT_BASES]
    return not any(name in vars(base) for base in bases for name in _OWN_BEHAVIOUR - made)


def _check_calls(scan: PickleScan, objects: dict[Global, Any]) -> None:
    """Rule 4."""
    called = sorted(
        found.path for found in scan.called if found in objects and not _made_by_call(found, objects[found])
    )
    if called:
        raise InputRefusedError(
            "its pickle runs constructors: " + ", ".join(map(printable, called)),
            hint=_WAY_OUT,
        )


def _made_by_call(found: Global, value: type) -> bool:
    if found.path in _STDLIB_DATA | _NUMPY_DATA:
        return True
    if issubclass(value, types.SimpleNamespace):
        return value.__init__ is types.SimpleNamespace.__init__
    return issubclass(value, enum.Enum)
