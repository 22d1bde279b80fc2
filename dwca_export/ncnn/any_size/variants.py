"""One layer at several input sizes, and the search for a size among the shapes of blobs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from dwca_export.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwca_export.ncnn.graph import Graph
    from dwca_export.ncnn.param import Layer

Shape = tuple[int, ...]

# ncnn's letters of the axes, by rank, slowest first: the order in which shapes are given here.
_LETTERS = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}


@dataclass(frozen=True)
class Variants:
    """One layer as pnnx wrote it for each size.

    Attributes:
        graph: The graph of the first size.
        layers: The layer at each size, with the blob names of the first.
        shapes: Blob -> its shape at each size, slowest axis first.
    """

    graph: Graph
    layers: tuple[Layer, ...]
    shapes: Mapping[str, tuple[Shape, ...]]

    @property
    def first(self) -> Layer:
        """The layer at the first size."""
        return self.layers[0]

    def input_shapes(self) -> tuple[Shape, ...]:
        """Shape of the layer's first bottom at each size."""
        return self.shapes[self.first.bottoms[0]]

    def refuse(self, what: str) -> NoReturn:
        """Stop: this layer cannot be made independent of the size.

        Raises:
            ConversionError: Always.
        """
        raise ConversionError(
            what,
            where=f"generalise, layer {self.first.name} ({self.first.type})",
            hint="export for one size (without --dynamic), or write the operation without sizes in the network",
        )

    def expressions(self, wanted: Sequence[tuple[int, ...]]) -> tuple[list[str], tuple[str, ...]]:
        """Express numbers that differ from size to size by the shapes of blobs.

        Args:
            wanted: For each number its value at every size.

        Returns:
            For each number an ncnn expression, and the bottoms that the expressions refer to, the layer's own first.

        Raises:
            ConversionError: A number is no size of any blob that is computed before the layer.
        """
        bottoms = [self.first.bottoms[0]]
        found = []
        for values in wanted:
            if len(set(values)) == 1:
                found.append(str(values[0]))
                continue
            blob, letter = self._find(values)
            if blob not in bottoms:
                bottoms.append(blob)
            found.append(f"{bottoms.index(blob)}{letter}")
        return found, tuple(bottoms)

    def _find(self, values: tuple[int, ...]) -> tuple[str, str]:
        """The nearest blob, going up from the layer, one of whose sizes is `values`."""
        queue, seen = deque([self.first.bottoms[0]]), set()
        while queue:
            blob = queue.popleft()
            if blob in seen:
                continue
            seen.add(blob)
            shapes = self.shapes[blob]
            for axis, letter in enumerate(_LETTERS.get(len(shapes[0]), "")):
                if tuple(shape[axis] for shape in shapes) == values:
                    return blob, letter
            queue.extend(self.graph.producer(blob).bottoms)
        return self.refuse(f"the sizes {' / '.join(map(str, values))} are those of no blob before it")
