from __future__ import annotations

from planted_detector import detector_bundle

__all__ = ["detector_bundle"]
