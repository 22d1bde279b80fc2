"""Whether the ncnn at hand can be expected to compute what the one computed that the bundle was proven with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import ncnn

from dwca_export.errors import ConversionError, InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwca_export.ncnn.param import Param

_VERSION = re.compile(r"\d+(?:\.\d+)*")
_NAMED = 5


def installed() -> str:
    """Version of the ncnn that is used: `1.0.<date>`."""
    return str(getattr(ncnn, "__version__", "unknown"))


def check_ncnn(manifest: Mapping[str, Any], *, allow_older: bool = False, here: str | None = None) -> tuple[str, ...]:
    """Compare the ncnn at hand with the one that the bundle was made with.

    An older one is refused: it skips parameters that it does not know without a word, and the recorded samples need not
    show it. A newer one reads what older ones wrote.

    Args:
        manifest: Of the bundle.
        allow_older: Whether the comparison of the recorded samples is to decide alone.
        here: Version at hand; by default that of the installed ncnn.

    Returns:
        What the user should know.

    Raises:
        InputRefusedError: It is older.
    """
    made, here = manifest["tools"].get("ncnn", "unknown"), here or installed()
    if here == made:
        return ()
    ours, theirs = _numbers(here), _numbers(made)
    if not ours or not theirs:
        return (f"ncnn {here} here and ncnn {made} in the manifest cannot be ordered",)
    if ours >= theirs:
        return (f"ncnn {here} is newer than {made}, which the bundle was made with",)
    fact = f"ncnn {here} is older than {made}, which the bundle was made with"
    if not allow_older:
        hint = "update ncnn, or let the recorded samples decide alone with --allow-older-ncnn"
        raise InputRefusedError(fact, where="ncnn", hint=hint)
    return (f"{fact}: what it does not know of the param it skips, and only the recorded samples are compared",)


def require_known_layers(param: Param, where: str) -> None:
    """Make sure that this ncnn has every type of layer.

    Args:
        param: The network.
        where: Its file, for the error.

    Raises:
        ConversionError: Naming the layers.
    """
    types = {layer.type for layer in param.layers}
    unknown = {kind for kind in types if ncnn.create_layer(kind) is None}
    if unknown:
        named = [f"{layer.type} ({layer.name})" for layer in param.layers if layer.type in unknown]
        what = f"ncnn {installed()} does not have the layers {', '.join(named[:_NAMED])}"
        raise ConversionError(what, where=where, hint="install the ncnn that the bundle was made with, or a newer one")


def _numbers(version: str) -> tuple[int, ...]:
    found = _VERSION.match(version)
    return tuple(map(int, found[0].split("."))) if found else ()
