"""Reading what a run recorded."""

from __future__ import annotations

import numpy as np
import pytest

from dwca_export.errors import InputRefusedError
from models.finished_run import _read_arrays


def test_every_damage_of_the_arrays_is_refused(tmp_path):
    file = tmp_path / "predictions.npz"
    np.savez_compressed(file, logits=np.arange(64, dtype=np.float32))
    whole = file.read_bytes()
    refused = 0
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            _read_arrays(file)
        except InputRefusedError:
            refused += 1
    assert refused > len(whole) // 4
    file.write_bytes(b"")
    with pytest.raises(InputRefusedError):
        _read_arrays(file)
