"""A range audit as a JSON object."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dwca_export.parity.measure import finite_or_null

if TYPE_CHECKING:
    from dwca_export.audit.ranges import RangeAudit


def describe_ranges(audit: RangeAudit) -> dict[str, Any]:
    """The object; null stands for what is no finite number. Its schema is documented in docs/pages/precision.md."""
    return {
        "samples": audit.samples,
        "findings": [finite_or_null(asdict(finding)) for finding in audit.findings],
        "layers": [finite_or_null({**asdict(layer), "headroom": layer.headroom}) for layer in audit.layers],
    }
