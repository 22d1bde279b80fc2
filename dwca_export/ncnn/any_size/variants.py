"""One layer at several input sizes, and the search for a size among the shapes of blobs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from dwca_export.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwca_export.ncnn.graph import Graph
    from dwca_export.ncnn.param import Layer

Shape = tuple[int, ...]

# ncnn's letters of the axes, by rank, slowest first: the order in which shapes are given here.
_LETTERS = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}
# ncnn's expressions name a blob by one digit.
_MAX_BOTTOMS = 10


@dataclass(frozen=True)
class Variants:
    """One layer as pnnx wrote it for each size.

    Attributes:
        graph: The graph of the first size.
        layers: The layer at each size; blobs have names of their own in each graph.
        shapes: Blob of the first graph -> its shape at each size, slowest axis first.
    """

    graph: Graph
    layers: tuple[Layer, ...]
    shapes: Mapping[str, tuple[Shape, ...]]

    @property
    def first(self) -> Layer:
        """The layer at the first size."""
        return self.layers[0]

    @property
    def differ(self) -> bool:
        """Whether pnnx wrote different parameters for different sizes."""
        return any(layer.params != self.first.params for layer in self.layers)

    def input_shapes(self) -> tuple[Shape, ...]:
        """Shape of the layer's first bottom at each size."""
        return self.shapes[self.first.bottoms[0]]

    def output_shapes(self) -> tuple[Shape, ...]:
        """Shape of the layer's first top at each size."""
        return self.shapes[self.first.tops[0]]

    def require(self, *keys: int) -> None:
        """Refuse a layer that reads more than one blob, or that differs in other parameters than these (plain ids)."""
        if len(self.first.bottoms) != 1:
            self.refuse("depends on the size and reads several blobs")
        rests = [layer.without_params(keys).params for layer in self.layers]
        if any(rest != rests[0] for rest in rests):
            self.refuse("differs from size to size in more than its sizes")

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
            ConversionError: A number is no size of any blob that is computed before the layer, or could be of several
                that are not the same at other sizes.
        """
        bottoms = [self.first.bottoms[0]]
        found = []
        for values in wanted:
            if len(set(values)) == 1:
                found.append(str(values[0]))
                continue
            blob, letter = self._source(values)
            if blob not in bottoms:
                bottoms.append(blob)
            found.append(f"{bottoms.index(blob)}{letter}")
        if len(bottoms) > _MAX_BOTTOMS:
            self.refuse(f"depends on the sizes of {len(bottoms)} blobs, ncnn takes {_MAX_BOTTOMS}")
        return found, tuple(bottoms)

    def find(self, values: tuple[int, ...]) -> tuple[str, str] | None:
        """The nearest blob, going up from the layer, one of whose sizes is `values`, and ncnn's letter of that axis."""
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
        return None

    def _source(self, values: tuple[int, ...]) -> tuple[str, str]:
        text = " / ".join(map(str, values))
        if len(self._followed(values)) > 1:
            self.refuse(f"the sizes {text} may follow the height of the input or its width")
        return self.find(values) or self.refuse(f"the sizes {text} are those of no blob before it")

    def _followed(self, values: tuple[int, ...]) -> set[int]:
        """The axes of the inputs that the values may follow: all sizes in a network grow with the input's."""
        inputs = [self.shapes[layer.tops[0]] for layer in self.graph.layers if layer.type == "Input"]
        return {
            axis
            for shapes in inputs
            for axis in range(1, len(shapes[0]))
            if _grows_with([shape[axis] for shape in shapes], values)
        }


def _grows_with(sizes: Sequence[int], values: Sequence[int]) -> bool:
    """Whether the values are nowhere smaller where the sizes are larger, and the same where they are the same."""
    pairs = sorted(zip(sizes, values, strict=True))
    return all(one[1] <= other[1] and (one[0] < other[0] or one[1] == other[1]) for one, other in pairwise(pairs))
