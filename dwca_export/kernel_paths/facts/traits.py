"""What layer types take, and how they leave what they write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.kernel_paths import conditions as c
from dwca_export.kernel_paths import outputs
from dwca_export.kernel_paths.facts.others import IN_PLACE
from dwca_export.kernel_paths.facts.rows import FAMILIES, Output, Trait

if TYPE_CHECKING:
    from dwca_export.kernel_paths.machine import Family

_MOVING = ("Reshape", "Flatten", "Concat", "Slice", "Crop")
_PLAIN = ("Permute", "Reduction", "Squeeze", "ExpandDims", "MemoryData")


def _source(layer_type: str, family: Family) -> str:
    return f"{family}/{layer_type.lower()}_{family}.cpp"


def _of(family: Family) -> tuple[Trait, ...]:
    is_arm = family == "arm"
    computing = ("Convolution", "InnerProduct", "BinaryOp", "GroupNorm", *IN_PLACE)
    any_packing = () if is_arm else ("HardSigmoid", "Clip")
    adaptive = Trait(
        "Pooling", family, _source("Pooling", family), packing=False, fp16=False, bf16=False, when=(c.ADAPTIVE,)
    )
    return (
        *(
            Trait(name, family, _source(name, family), fp16=is_arm, any_packing=name in any_packing)
            for name in computing
        ),
        adaptive,
        Trait("Pooling", family, _source("Pooling", family), fp16=is_arm),
        # x86 has no 16 bit depthwise convolution at all.
        Trait("ConvolutionDepthWise", family, _source("ConvolutionDepthWise", family), fp16=is_arm, bf16=is_arm),
        *(Trait(name, family, _source(name, family), any_storage=True) for name in _MOVING),
        *(Trait(name, family, f"{name.lower()}.cpp", any_storage=True) for name in ("Split", "Noop")),
        Trait("DeepCopy", family, "deepcopy.cpp", fp16=False, bf16=False),
        *(Trait(name, family, f"{name.lower()}.cpp", packing=False, fp16=False, bf16=False) for name in _PLAIN),
    )


TRAITS = tuple(trait for family in FAMILIES for trait in _of(family))

OUTPUTS = (
    *(Output(name, outputs.convolution) for name in ("Convolution", "ConvolutionDepthWise")),
    *(Output(name, outputs.as_input) for name in ("Split", "Noop", "DeepCopy", "GroupNorm", *IN_PLACE)),
    *(Output(name, outputs.packed_anew) for name in ("Reshape", "Flatten")),
    *(Output(name, outputs.along_axis) for name in ("Concat", "Slice")),
    *(Output(name, outputs.plain) for name in _PLAIN),
    Output("Pooling", outputs.pooling),
    Output("InnerProduct", outputs.inner_product),
    Output("BinaryOp", outputs.binary),
    Output("Crop", outputs.crop),
)
