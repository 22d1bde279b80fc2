"""Builds the wheel of the Python that runs this into dist/ and gives it the tag of a platform; for tools/wheels.

usage: python tools/platform_wheel.py manylinux_2_28_x86_64
"""

from __future__ import annotations

import sys

from scikit_build_core.build import build_wheel


def tag(platform: str) -> str:
    """What scikit-build-core would choose (see wheel.py-api in pyproject.toml), but for the platform."""
    if sys.version_info >= (3, 12):
        return f"cp312-abi3-{platform}"
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{version}-{version}-{platform}"


if __name__ == "__main__":
    print("dist/" + build_wheel("dist", {"wheel.tags": tag(sys.argv[1])}))
