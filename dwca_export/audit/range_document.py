"""A range audit as a JSON object."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwca_export.audit.ranges import RangeAudit


def describe_ranges(audit: RangeAudit) -> dict[str, Any]:
    """The object; null stands for what is no finite number. Its schema is documented in docs/pages/precision.md."""
    return {
        "samples": audit.samples,
        "findings": [_finite(asdict(finding)) for finding in audit.findings],
        "layers": [_finite({**asdict(layer), "headroom": layer.headroom}) for layer in audit.layers],
    }


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
