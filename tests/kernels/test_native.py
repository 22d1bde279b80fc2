"""The development environment has the native library; the other tests of the kernels are skipped without."""

from __future__ import annotations

import platform

from dwca_export import kernels


def test_the_native_library_is_there():
    assert kernels.missing() is None
    assert kernels.isas()[0] == "scalar"


def test_the_instruction_sets_of_this_processor():
    if platform.machine() == "aarch64":
        assert "neon" in kernels.isas()
    elif platform.machine() == "x86_64":
        assert set(kernels.isas()) <= {"scalar", "avx2", "avx512"}
