"""Builds the wheel of the Python that runs this into dist/ and gives it the tag of a platform; for tools/wheels.

usage: python tools/platform_wheel.py PLATFORM BUILD_FOLDER
"""

from __future__ import annotations

import sys

from scikit_build_core.build import build_wheel

if __name__ == "__main__":
    platform, folder = sys.argv[1:]
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    # scikit-build-core by itself knows no tag but that of the very machine.
    print("dist/" + build_wheel("dist", {"wheel.tags": f"{version}-{version}-{platform}", "build-dir": folder}))
