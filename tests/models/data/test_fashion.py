"""The reader of Fashion-MNIST: what it reads, and every damaged file that it refuses."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from dwca_export.errors import InputRefusedError
from models.data import fashion


@pytest.fixture
def damaged(idx_folder, tmp_path):
    """The folder by links, in which a test replaces a file."""
    for file in idx_folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    return tmp_path


def replace(folder, name, content):
    (folder / name).unlink()
    (folder / name).write_bytes(content)


def test_both_splits_are_read(idx_folder):
    dataset = fashion.load(idx_folder)
    assert dataset.train.images.shape == (60_000, 28, 28)
    assert dataset.train.labels.shape == (60_000,)
    assert dataset.test.images.shape == (10_000, 28, 28)
    assert dataset.test.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert dataset.test.images.dtype == np.uint8


def test_values_arrive_in_order(tmp_path, idx_file):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(fashion.read_idx(idx_file(tmp_path / "a.gz", array), (2, 3, 4)), array)


def test_the_environment_names_the_folder(idx_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("DWCA_FASHION_MNIST", str(tmp_path))
    with pytest.raises(InputRefusedError) as caught:
        fashion.load()
    assert str(tmp_path) in caught.value.where
    assert len(fashion.load(idx_folder).test.labels) == 10_000


def test_an_absent_file_names_the_package(damaged):
    (damaged / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputRefusedError, match="not there") as caught:
        fashion.load(damaged)
    assert caught.value.where.endswith("t10k-labels-idx1-ubyte.gz")
    assert "apt-get install dataset-fashion-mnist" in caught.value.hint


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "a.gz").mkdir()
    with pytest.raises(InputRefusedError, match="cannot be read"):
        fashion.read_idx(tmp_path / "a.gz", (1,))


@pytest.mark.parametrize("keep", [0, 5, 1000])
def test_a_truncated_gzip_is_refused(damaged, keep):
    name = "train-images-idx3-ubyte.gz"
    replace(damaged, name, (damaged / name).read_bytes()[:keep])
    with pytest.raises(InputRefusedError):
        fashion.load(damaged)


def test_what_is_no_gzip_is_refused(damaged):
    replace(damaged, "t10k-labels-idx1-ubyte.gz", b"<html>404</html>")
    with pytest.raises(InputRefusedError, match="not a complete gzip file"):
        fashion.load(damaged)


def test_flipped_bits_are_refused(damaged):
    name = "t10k-labels-idx1-ubyte.gz"
    content = bytearray((damaged / name).read_bytes())
    content[-6] ^= 0xFF
    replace(damaged, name, bytes(content))
    with pytest.raises(InputRefusedError, match="not a complete gzip file"):
        fashion.load(damaged)


def test_images_in_place_of_labels_are_refused(damaged):
    replace(damaged, "t10k-labels-idx1-ubyte.gz", (damaged / "t10k-images-idx3-ubyte.gz").read_bytes())
    with pytest.raises(InputRefusedError, match="unsigned bytes in 1 dimensions"):
        fashion.load(damaged)


def test_the_test_split_in_place_of_the_training_split_is_refused(damaged):
    replace(damaged, "train-labels-idx1-ubyte.gz", (damaged / "t10k-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(InputRefusedError, match="holds 10000 values instead of 60000"):
        fashion.load(damaged)


def test_another_type_of_values_is_refused(tmp_path, idx_file):
    file = idx_file(tmp_path / "a.gz", np.zeros(4, np.uint8), kind=9)
    with pytest.raises(InputRefusedError, match="unsigned bytes"):
        fashion.read_idx(file, (4,))


@pytest.mark.parametrize("values", [3, 5])
def test_fewer_or_more_values_than_announced_are_refused(tmp_path, values):
    header = struct.pack(">HBBI", 0, 8, 1, 4)
    (tmp_path / "a.gz").write_bytes(gzip.compress(header + bytes(values)))
    with pytest.raises(InputRefusedError, match=f"holds {values} values instead of 4"):
        fashion.read_idx(tmp_path / "a.gz", (4,))


def test_an_unknown_label_is_refused(damaged, idx_file):
    labels = np.zeros(10_000, np.uint8)
    labels[77] = 10
    (damaged / "t10k-labels-idx1-ubyte.gz").unlink()
    idx_file(damaged / "t10k-labels-idx1-ubyte.gz", labels)
    with pytest.raises(InputRefusedError, match="label 10 is not one of the 10 classes"):
        fashion.load(damaged)


def test_normalised_images_are_what_the_networks_take():
    images = np.zeros((2, 28, 28), np.uint8)
    images[1] = 255
    inputs = fashion.normalise(images)
    assert inputs.shape == (2, 1, 28, 28)
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs[0], -0.286 / 0.353, rtol=1e-6)
    np.testing.assert_allclose(inputs[1], (1 - 0.286) / 0.353, rtol=1e-6)
