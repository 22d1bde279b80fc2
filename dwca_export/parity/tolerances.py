"""How far apart two backends may be: every number with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Largest error that a hop, or a layer, may add.

    Attributes:
        relative_l2: |candidate - reference| / |reference|, both Euclidean norms over one output of one sample.
        relative_max: Largest absolute difference, over the reference's largest magnitude.
        channel_l2: As `relative_l2`, for each channel by itself.
        layer_l2: As `relative_l2`, for what one layer alone may add.
        layer_channel_l2: As `channel_l2`, for what one layer alone may add.
        contrast: How many times the tolerance outputs have to change between the samples for the proof not to be weak.
        reason: Where the numbers come from.
    """

    relative_l2: float
    relative_max: float
    channel_l2: float
    layer_l2: float
    layer_channel_l2: float
    contrast: float
    reason: str


# channel_l2 is ten times relative_l2: errors that are even over the channels weigh more beside a small one. Measured on
# trained and random detectors: up to 3.3e-4 in fp32 and 4.1e-2 with fp16 weights, in a YOLO's maps of 4x3 pixels whose
# errors as a whole are 3.7e-5 and 9.9e-3. A channel that is wrong errs by about its own size.
TOLERANCES = {
    # fp32 has a unit round-off of 6e-8. Backends sum in other orders: over some thousand products the difference grows
    # with the square root, to about 4e-6 a layer, and layers add up as independent errors: 4e-5 for a hundred of them.
    # One sum wrongly formed (a strip mean over the wrong count, statistics over the wrong set) shows as 1e-2 and more.
    # At a contrast of 100 the part of an output that depends on the input is right to a hundredth: such a fault in it
    # would still be seen.
    # One layer: 4e-6, times 5 where it subtracts what is nearly equal. Measured between x86 and PyTorch: 1.7e-6.
    "fp32": Tolerance(
        1e-4,
        5e-4,
        1e-3,
        2e-5,
        2e-4,
        100,
        "fp32 sums in another order: 6e-8 * sqrt(4000 products) * sqrt(100 layers), rounded up",
    ),
    # Every weight is rounded to 11 bits: a relative 2.4e-4 on average, independent from weight to weight, so a layer's
    # sum errs by 2.4e-4 of its own size, and a hundred layers by ten times that; normalisation layers amplify it.
    # Outputs cannot change by 100 times this tolerance. Three times shows weights that were rounded wrongly, which
    # changes what depends on the input as a whole; finer faults are for fp32 to show.
    # One layer: 2.4e-4, times 8 for cancellation. Measured: 5.2e-4, 1.2e-3 in a channel.
    "fp16-weights": Tolerance(
        1e-2,
        2e-2,
        1e-1,
        2e-3,
        2e-2,
        3,
        "weights rounded to 11 bits: 2.4e-4 * sqrt(100 layers), times 4 for normalisation",
    ),
    # Weights, the blob that comes and the blob that goes are rounded to 11 bits, sums are in fp32: three independent
    # errors of 2.4e-4 are 4.2e-4 a layer, and a hundred layers add up to ten times that.
    # One layer: times 7 for cancellation. Measured on Cortex-A76: 5.2e-4, 1.1e-3 in a channel; outputs 5.9e-3.
    "fp16-storage": Tolerance(
        2e-2,
        4e-2,
        2e-1,
        3e-3,
        3e-2,
        3,
        "weights and blobs rounded to 11 bits: 2.4e-4 * sqrt(3) * sqrt(100 layers), times 5 for normalisation",
    ),
    # Sums are rounded to 11 bits with every product, too: over 100 products 2.4e-3 a layer, over 1000 7.6e-3.
    # One layer: times 4 for cancellation, and for Winograd, whose transformed numbers are larger than what they come
    # to. Measured on Cortex-A76: 3.3e-3, 8e-3 in a channel; outputs 9.4e-3; a dense 3x3 convolution by Winograd 1.3e-2.
    # There ncnn's depthwise 3x3 kernel of stride 2 writes a wrong column at some widths: 1.6e-1, 4e-1 in a channel.
    "fp16-arithmetic": Tolerance(
        5e-2,
        1e-1,
        5e-1,
        3e-2,
        2e-1,
        3,
        "sums rounded to 11 bits: 2.4e-4 * sqrt(100 products) * sqrt(100 layers), times 2 for normalisation",
    ),
    # As fp16 storage with 8 bits in place of 11, so with errors 8 times as large: 3.4e-3 a layer. Networks that need
    # more than this are not for bf16, or not in all layers.
    # One layer: times 6 for cancellation. Measured: 6.0e-3, 1.1e-2 in a channel; outputs 2.2e-2 on x86, 5.0e-2 on
    # Cortex-A76.
    "bf16-storage": Tolerance(
        1e-1,
        2e-1,
        8e-1,
        2e-2,
        1e-1,
        3,
        "weights and blobs rounded to 8 bits: 2e-3 * sqrt(3) * sqrt(100 layers), times 3 for normalisation",
    ),
}
