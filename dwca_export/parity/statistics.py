"""Means and spreads of channels: a normalisation with the wrong scale or shift shows here; the cosine hides it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dwca_export.parity.channels import FLOOR, channel_rows


@dataclass(frozen=True)
class ChannelStatistics:
    """How far the channels' statistics are off; the worst channel of each.

    Attributes:
        mean_shift: Difference of the means, over the channel's root of the mean square.
        std_change: Difference of the standard deviations, over the same.
        not_finite: How many numbers are NaN or infinite.
    """

    mean_shift: float
    std_change: float
    not_finite: int


def channel_statistics(reference: np.ndarray, actual: np.ndarray) -> ChannelStatistics | None:
    """Compare the statistics of every channel.

    Args:
        reference: Without batch axis, channels first; a vector is one channel.
        actual: Of the same shape.

    Returns:
        None if the shapes differ or there is nothing in them. Means and spreads leave out what is not finite.
    """
    if reference.shape != actual.shape or not reference.size:
        return None
    not_finite = int(actual.size - np.isfinite(actual).sum())
    wanted, found = channel_rows(reference), np.nan_to_num(channel_rows(actual), nan=0.0, posinf=0.0, neginf=0.0)
    sizes = np.sqrt(np.mean(np.square(wanted), axis=1))
    # A channel of zeros has no size of its own: see `channels.FLOOR`.
    scales = np.maximum(np.maximum(sizes, FLOOR * sizes.max()), np.finfo(np.float64).tiny)
    mean_shift = np.abs(found.mean(1) - wanted.mean(1)) / scales
    std_change = np.abs(found.std(1) - wanted.std(1)) / scales
    return ChannelStatistics(float(mean_shift.max()), float(std_change.max()), not_finite)
