"""Lists the sizes at which a bundle for every size was proven.

usage: python tools/show_sizes.py BUNDLE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

manifest = json.loads((Path(sys.argv[1]) / "manifest.json").read_text(encoding="utf-8"))
for comparison in manifest["parity"]:
    if " at " in comparison["candidate"]:
        worst = max(output["relative_l2"] for output in comparison["outputs"])
        print(f"{comparison['reference']:32} -> {comparison['candidate']:32} relative L2 error {worst:.1e}")
