"""The table of facts as the documentation shows it.

usage: python tests/kernel_paths/facts_table.py
"""

from __future__ import annotations

import sys

from dwca_export.kernel_paths.facts import FACTS

TITLES = {"x86": "x86", "arm": "ARM"}


def lines() -> list[str]:
    """One row a kernel, in the order in which ncnn asks."""
    rows = ["| layer | on | when | kernel | speed | source |", "| --- | --- | --- | --- | --- | --- |"]
    for row in FACTS.kernels:
        when = "; ".join(condition.text for condition in row.when) or "otherwise"
        source = f"`{row.source}`" if row.source else ""
        rows.append(f"| {row.type} | {TITLES[row.family]} | {when} | `{row.kernel}` | {row.speed} | {source} |")
    return rows


if __name__ == "__main__":
    sys.stdout.write("\n".join([*lines(), ""]))
