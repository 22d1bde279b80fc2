"""Gives the inputs and outputs of an ONNX graph the names that the user knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx import AttributeProto

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def rename_values(graph: Any, names: Mapping[str, str]) -> None:
    """Rename values in place; others that have one of the new names already give it up.

    Args:
        graph: `onnx.GraphProto`.
        names: New names by old ones. No two are the same.
    """
    present = set(_names(graph))
    taken = {*present, *names, *names.values()}
    moved = dict(names)
    for name in sorted(present.intersection(names.values()) - names.keys()):
        moved[name] = _free(name, taken)
        taken.add(moved[name])
    _rename(graph, moved)


def _free(name: str, taken: set[str]) -> str:
    index = 1
    while f"{name}_{index}" in taken:
        index += 1
    return f"{name}_{index}"


def _names(graph: Any) -> Iterator[str]:
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from node.output
        for inner in _subgraphs(node):
            yield from _names(inner)


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]
        for inner in _subgraphs(node):
            _rename(inner, names)


def _subgraphs(node: Any) -> list[Any]:
    """The branches and bodies of control flow, which read the values around them."""
    return [
        graph
        for attribute in node.attribute
        for graph in ([attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs)
    ]
