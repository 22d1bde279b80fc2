"""The network that `--arch` names: a factory in a Python file or in an installed package, called."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.loading.importing import importable
from dwca_export.loading.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

EXAMPLE = "--arch models/nets.py:classifier, or --arch package.module:factory"


def build(arch: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build the network that a state dict belongs to.

    A file is imported as its user expects: as part of its package where it lies in one, else beside its siblings;
    the current folder is searched as well.

    Args:
        arch: `file.py:factory` (relative to the current folder) or `package.module:factory`.
        arguments: Keyword arguments of the factory.

    Returns:
        What the factory returned, out of the wrappers of torch.compile and DataParallel.

    Raises:
        UsageError: `arch` is not of that form, names a file or factory that does not exist, or the factory takes other
            arguments.
        InputRefusedError: The import or the factory fails, or it gives something other than a module.
    """
    target, colon, name = arch.rpartition(":")
    if not colon or not target or not name:
        raise UsageError(f"{arch!r} names no factory", where="--arch", hint=f"write {EXAMPLE}")
    is_file = target.endswith(".py")
    file = Path(target).resolve()
    with importable(*([_root(file)] if is_file else [])):
        module = _import_file(file, arch) if is_file else _import_module(target, arch)
        return _call(_attribute(module, name, arch), arch, arguments)


def _root(file: Path) -> Path:
    """The folder that must be on the search path: the file's own, or the one its package lies in."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _import_file(file: Path, arch: str) -> ModuleType:
    if not file.is_file():
        raise UsageError(f"there is no file {printable(str(file))}", where="--arch", hint=f"write {EXAMPLE}")
    root = _root(file)
    if root != file.parent:
        name = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        module = _import_module(name, arch)
        _check_origin(module, file)
        return module
    for sibling in (*root.glob("*.py"), *(init.parent for init in root.glob("*/__init__.py"))):
        _check_sibling(sibling, file)
    return _execute(file, arch)


def _check_origin(module: ModuleType, file: Path) -> None:
    origin = getattr(module, "__file__", None)
    if origin is None or Path(origin).resolve() != file:
        raise InputRefusedError(
            f"{module.__name__} is another module, {printable(str(origin))}, and not {printable(str(file))}",
            hint="run dwca-export in another folder, or rename the package",
        )


def _check_sibling(sibling: Path, file: Path) -> None:
    """A module of this name that came from elsewhere would be taken for the sibling, without a word."""
    loaded = sys.modules.get(sibling.stem)
    settled = {*sys.stdlib_module_names, "dwca_export"}  # imported before, for everybody
    if loaded is None or sibling == file or sibling.stem in settled:
        return
    _check_origin(loaded, sibling / "__init__.py" if sibling.is_dir() else sibling)


def _execute(file: Path, arch: str) -> ModuleType:
    name = file.stem
    loaded = sys.modules.get(name)
    if loaded is not None or not name.isidentifier() or name in sys.stdlib_module_names:
        if loaded is not None and getattr(loaded, "__file__", None) == str(file):
            return loaded
        name = f"arch_{hashlib.sha256(os.fsencode(file)).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{printable(str(file))} is not a Python file", where="--arch", hint=f"write {EXAMPLE}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and tracing look their module up while and after it is executed
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _import_failed(arch, error) from error
    return module


def _import_module(name: str, arch: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(
                f"there is no module {name!r} here", where="--arch", hint=f"install it, or write {EXAMPLE}"
            ) from error
        raise _import_failed(arch, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(arch, error) from error


def _import_failed(arch: str, error: BaseException) -> InputRefusedError:
    hint = "run dwca-export in the folder from which training was started, with the packages that it needs"
    return InputRefusedError(f"the module of --arch {arch} cannot be imported ({one_line(error)})", hint=hint)


def _attribute(module: ModuleType, name: str, arch: str) -> Any:
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise UsageError(f"{arch} has no {part!r}", where="--arch", hint=_proposal(module, part))
        value = getattr(value, part)
    if not callable(value):
        raise UsageError(
            f"{arch} is a {type(value).__name__}, not a factory", where="--arch", hint=_proposal(module, "")
        )
    return value


def _proposal(module: ModuleType, name: str) -> str:
    own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    factories = sorted(key for key in own if callable(vars(module)[key]) and not key.startswith("_"))
    close = difflib.get_close_matches(name, factories, n=1)
    return f"did you mean {close[0]}?" if close else "it defines: " + ", ".join(factories[:10])


def _call(factory: Any, arch: str, arguments: Mapping[str, Any]) -> nn.Module:
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    _check_arguments(factory, arch, arguments, given)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # what the checkpoint does not hold is the same in every run
            network = factory(**arguments)
    except (Exception, SystemExit) as error:
        raise InputRefusedError(
            f"the factory {arch} failed with ({printable(given)}): {one_line(error)}",
            hint="--arch-args gives its keyword arguments as JSON: --arch-args '{\"width\": 0.5}'",
        ) from error
    if not isinstance(network, nn.Module):
        raise InputRefusedError(
            f"the factory {arch} returned a {type(network).__name__}, not a torch.nn.Module",
            hint="name the function or class that gives the network itself",
        )
    return unwrap(network)


def _check_arguments(factory: Any, arch: str, arguments: Mapping[str, Any], given: str) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # written in C: it says itself what it does not take
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise UsageError(
            f"the factory {arch} cannot be called with ({printable(given)}): {error}",
            where="--arch-args",
            hint=f"its arguments are {printable(str(signature))}",
        ) from error


def unwrap(network: nn.Module) -> nn.Module:
    """Take a network out of the wrappers of training.

    Args:
        network: A module.

    Returns:
        The module inside torch.compile's and DataParallel's wrappers, or itself.
    """
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        elif isinstance(getattr(network, "_orig_mod", None), nn.Module):
            network = network._orig_mod  # type: ignore[assignment]
        else:
            return network
