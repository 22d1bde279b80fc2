from __future__ import annotations

from functools import cache

import pytest
from converted_nets import convert


@pytest.fixture(scope="session")
def converted(tmp_path_factory):
    """`converted(name)`: a network of `converted_nets` and its pnnx files, converted once a session."""
    return cache(lambda name: convert(name, tmp_path_factory.mktemp("converted")))
