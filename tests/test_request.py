from __future__ import annotations

from pathlib import Path

import pytest

from dwca_export.errors import UsageError
from dwca_export.request import ExportRequest


@pytest.mark.parametrize("precisions", [("fp32",), ("fp16",), ("fp32", "fp16"), ("fp16", "fp32")])
def test_precisions(precisions):
    assert ExportRequest(Path("a"), precisions=precisions).precisions == precisions


@pytest.mark.parametrize("precisions", [(), ("",), ("int8",), ("fp32", "fp32"), ("fp32", ""), ("FP32",)])
def test_precisions_that_cannot_be(precisions):
    with pytest.raises(UsageError, match="is unknown") as caught:
        ExportRequest(Path("a"), precisions=precisions)
    assert caught.value.where == "--precision"
