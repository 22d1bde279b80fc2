"""Where a layer stands in the original network, also if that has no name for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dwca_export.ncnn.param import Param


@dataclass(frozen=True)
class Place:
    """Where a layer stands in the original network.

    Attributes:
        module: The innermost torch module that holds the nearest known values before and behind it; empty where that is
            the whole network.
        after: Modules of the nearest known values before it.
    """

    module: str
    after: tuple[str, ...]


def places(param: Param, known: Mapping[str, str]) -> dict[str, Place]:
    """Find the place of what every layer writes.

    Args:
        param: The network.
        known: Torch module by blob.

    Returns:
        By blob.
    """

    def before(blob: str) -> Sequence[str]:
        producer = param.producer(blob)
        return producer.bottoms if producer else ()

    def behind(blob: str) -> Sequence[str]:
        return [top for reader in param.consumers(blob) for top in reader.tops]

    return {blob: _place(_nearest(blob, before, known), _nearest(blob, behind, known)) for blob in param.blobs}


def _place(before: Sequence[str], behind: Sequence[str]) -> Place:
    return Place(_common([*before, *behind]), tuple(sorted(set(before))))


def _nearest(blob: str, steps: Callable[[str], Iterable[str]], known: Mapping[str, str]) -> list[str]:
    """Modules of the first known blobs in one direction."""
    found: list[str] = []
    seen, waiting = {blob}, [blob]
    while waiting:
        for next_blob in steps(waiting.pop()):
            if next_blob in known:
                found.append(known[next_blob])
            elif next_blob not in seen:
                seen.add(next_blob)
                waiting.append(next_blob)
    return found


def _common(modules: Sequence[str]) -> str:
    """The longest name that all the parents of these modules begin with."""
    parents = [module.split(".")[:-1] for module in modules]
    common = []
    for parts in zip(*parents, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common)
