"""One run is trained by one process at a time."""

from __future__ import annotations

import pytest

from dwca_export.errors import UsageError
from models.experiment.worker import alone_in


def test_a_run_that_is_being_trained_is_left_alone(tmp_path):
    folder = tmp_path / "objects" / "dwca"
    with alone_in(folder):
        with pytest.raises(UsageError, match="another command trains this run"), alone_in(folder):
            pass
        assert not list(folder.iterdir())
    with alone_in(folder):
        pass


def test_other_runs_go_on(tmp_path):
    with alone_in(tmp_path / "one"), alone_in(tmp_path / "other"):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"), alone_in(tmp_path / "file" / "run"):
        pass
