"""A manifest's figures as rows of text, for every kind of report."""

from __future__ import annotations

from typing import Any


def parity_rows(manifest: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row per pair of backends and output: from, to, output, relative L2, max abs, SQNR dB, top-1."""
    return [
        (
            comparison["reference"],
            comparison["candidate"],
            output["output"],
            f"{output['relative_l2']:.1e}",
            f"{output['max_abs']:.1e}",
            "equal" if output["sqnr_db"] is None else f"{output['sqnr_db']:.0f}",
            "" if output["top1"] is None else f"{output['top1']:.0%}",
        )
        for comparison in manifest["parity"]
        for output in comparison["outputs"]
    ]


def block_rows(manifest: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row per block: name, channels, reduced channels, norm, depthwise kernel, stride, residual."""
    return [
        (
            block["name"],
            str(block["channels"]),
            str(block["reduced"]),
            f"GroupNorm {block['groups']}" if block["groups"] else "folded",
            f"{block['depthwise_kernel']}x{block['depthwise_kernel']}" if block["depthwise_kernel"] else "none",
            str(block["stride"]),
            "yes" if block["residual"] else "no",
        )
        for block in manifest["blocks"]
    ]
