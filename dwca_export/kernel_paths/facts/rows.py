"""The kinds of facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwca_export.kernel_paths.case import Case
    from dwca_export.kernel_paths.conditions import Condition
    from dwca_export.kernel_paths.machine import Family
    from dwca_export.kernel_paths.outputs import Layout

Speed: TypeAlias = Literal["fast", "generic", "scalar", "copies", "wrong", "unknown"]


NOT_KNOWN = "not known"
FAMILIES: tuple[Family, ...] = ("x86", "arm")


@dataclass(frozen=True)
class Trait:
    """What a layer type takes as it comes: the `support_` fields that its constructor and `create_pipeline` set.

    Attributes:
        type: Layer type.
        family: Of targets.
        source: File of ncnn's `src/layer`.
        packing: Whether it takes packed blobs.
        fp16: Whether it takes fp16 blobs where an ARM CPU has asimdhp; x86 never makes any.
        bf16: Whether it takes bf16 blobs.
        any_packing: Whether it takes packed blobs of any width.
        any_storage: Whether it only moves elements and looks at their size itself, so that a mask cannot mislead it.
        when: Conditions that the trait depends on.
    """

    type: str
    family: Family
    source: str
    packing: bool = True
    fp16: bool = True
    bf16: bool = True
    any_packing: bool = False
    any_storage: bool = False
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """One kernel of a layer type.

    Attributes:
        type: Layer type.
        family: Of targets.
        when: Conditions; all have to hold.
        kernel: Name of the function, with the words of `Case.words` in braces.
        speed: `fast`: written for this case, or a matrix product. `generic`: vectorised, but a plain loop over the
            window. `scalar`: one element at a time. `copies`: unpacks, repacks or reorders around the work.
            `wrong`: computes nonsense. `unknown`: this case was not read.
        reason: Why this kernel.
        source: File of ncnn's `src/layer`, with the same words in braces.
        remedy: What can be done, for one that is not fast.
        in_lanes: Whether each register holds one pack, so that a narrow pack leaves lanes empty.
    """

    type: str
    family: Family
    when: tuple[Condition, ...]
    kernel: str
    speed: Speed
    reason: str
    source: str
    remedy: Callable[[Case], str] | None = None
    in_lanes: bool = False


@dataclass(frozen=True)
class Output:
    """How a layer type leaves what it writes.

    Attributes:
        type: Layer type.
        layout: Elempack and storage of every output.
    """

    type: str
    layout: Callable[[Case], tuple[Layout, ...]]


@dataclass(frozen=True)
class Facts:
    """All tables.

    Attributes:
        traits: The first whose type, family and conditions fit holds.
        kernels: In the order in which ncnn asks; the first that fits is taken.
        outputs: One for each layer type.
    """

    traits: tuple[Trait, ...]
    kernels: tuple[Kernel, ...]
    outputs: tuple[Output, ...]
