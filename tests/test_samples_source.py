"""The user's images and arrays, or noise, as a network's input."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dwca_export.artifacts import TensorSpec
from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.samples import Preprocessing, open_samples

IMAGE = (TensorSpec("x", (1, 3, 10, 12)),)
GREY = (TensorSpec("x", (1, 1, 10, 12)),)
TWO = (TensorSpec("image", (1, 3, 4, 5)), TensorSpec("query", (1, 7)))
PLAIN = Preprocessing()


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Three images, and what also lies about in such folders."""
    folder = tmp_path / "Ñandú 鳥 images"
    folder.mkdir()
    for index, name in enumerate(("b.png", "a.PNG", "c.bmp")):
        Image.fromarray(pixels(10, 12, 3, seed=index)).save(folder / name)
    (folder / "labels.txt").write_text("a b c")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "more.png").mkdir()
    return folder


def saved(tmp_path, *arrays, **named):
    path = tmp_path / ("data.npz" if named else "data.npy")
    np.savez(path, **named) if named else np.save(path, *arrays)
    return path


def refused(path, inputs=IMAGE, preprocessing=PLAIN):
    with pytest.raises(InputRefusedError) as caught:
        open_samples(path, inputs, preprocessing).make(inputs, 4)
    assert caught.value.exit_code == 3
    assert caught.value.where == str(path)
    assert caught.value.hint
    assert "\n" not in caught.value.what
    return caught.value.what


def test_noise():
    source = open_samples(None, TWO, PLAIN, seed=3)
    assert source.kind == "noise"
    assert "seed 3" in source.origin
    first, second = source.make(TWO, 2)
    assert {name: (array.shape, array.dtype) for name, array in first.items()} == {
        "image": ((1, 3, 4, 5), np.float32),
        "query": ((1, 7), np.float32),
    }
    assert (first["image"] != second["image"]).any()
    again, other = (open_samples(None, TWO, PLAIN, seed=seed).make(TWO, 1)[0] for seed in (3, 4))
    np.testing.assert_array_equal(again["image"], first["image"])
    assert (other["image"] != first["image"]).any()
    assert source.at(TWO) is source


def test_a_folder_of_images(folder):
    source = open_samples(folder, IMAGE, PLAIN)
    assert (source.kind, source.origin) == ("images", f"3 images of {folder.name}/")
    samples = source.make(IMAGE, 10)
    # In the order of their names: a.PNG, b.png, c.bmp.
    for sample, seed in zip(samples, (1, 0, 2), strict=True):
        expected = pixels(10, 12, 3, seed=seed).transpose(2, 0, 1)[np.newaxis] / np.float32(255)
        assert sample["x"].dtype == np.float32
        assert sample["x"].flags.c_contiguous
        np.testing.assert_array_equal(sample["x"], expected)
    assert len(source.make(IMAGE, 2)) == 2


def test_images_come_in_any_size(folder):
    source = open_samples(folder, IMAGE, PLAIN)
    for shape in ((1, 3, 5, 24), (1, 1, 10, 12)):
        inputs = (TensorSpec("y", shape),)
        assert source.at(inputs) is source
        sample = source.make(inputs, 1)[0]["y"]
        assert sample.shape == shape
        assert 0 <= sample.min() < sample.max() <= 1


def test_images_are_read_as_they_are_needed(folder):
    (folder / "d.png").write_bytes(b"damaged")
    source = open_samples(folder, IMAGE, PLAIN)
    assert len(source.make(IMAGE, 3)) == 3
    with pytest.raises(InputRefusedError, match="not an image") as caught:
        source.make(IMAGE, 4)
    assert caught.value.where == str(folder / "d.png")


def test_folders_without_images_are_refused(tmp_path):
    assert refused(tmp_path) == "no image in the folder"
    (tmp_path / "notes.txt").write_text("x")
    assert refused(tmp_path) == "no image in the folder"


@pytest.mark.skipif(os.getuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_refused(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    assert "cannot be listed" in refused(folder)


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file or folder"):
        open_samples(tmp_path / "missing", IMAGE, PLAIN)


def test_images_fit_networks_with_one_image_input_only(folder):
    for inputs in (TWO, (TensorSpec("x", (1, 7)),)):
        with pytest.raises(InputRefusedError, match="one N x C x H x W input only"):
            open_samples(folder, inputs, PLAIN).make(inputs, 1)


@pytest.mark.parametrize(
    ("shape", "inputs"), [((2, 10, 12), GREY), ((2, 10, 12, 1), GREY), ((2, 10, 12, 3), IMAGE), ((2, 10, 12, 4), IMAGE)]
)
def test_pixels_as_array(tmp_path, shape, inputs):
    array = pixels(*shape)
    source = open_samples(saved(tmp_path, array), inputs, PLAIN)
    assert (source.kind, source.origin) == ("images", "2 images of data.npy")
    channels = inputs[0].shape[1]
    for index, sample in enumerate(source.make(inputs, 9)):
        expected = array[index].reshape(10, 12, -1)[:, :, :channels].transpose(2, 0, 1)[np.newaxis]
        np.testing.assert_array_equal(sample["x"], expected / np.float32(255))


def test_pixels_among_other_arrays(tmp_path):
    array = pixels(2, 10, 12, 3)
    mask = pixels(2, 10, 12, seed=1)
    path = saved(tmp_path, mask=mask, labels=np.arange(2, dtype=np.uint8), images=array)
    sample = open_samples(path, IMAGE, PLAIN).make(IMAGE, 1)[0]["x"]
    np.testing.assert_array_equal(sample, array[:1].transpose(0, 3, 1, 2) / np.float32(255))
    # Which of several would be the images is not guessed.
    assert "the file has nothing" in refused(saved(tmp_path, mask=mask, pictures=array))


def test_the_reference_samples():
    file = Path(__file__).parents[1] / "models" / "zoo" / "fashion_samples.npz"
    inputs = (TensorSpec("x", (1, 1, 28, 28)),)
    source = open_samples(file, inputs, PLAIN)
    assert source.origin == "128 images of fashion_samples.npz"
    assert source.make(inputs, 200)[127]["x"].shape == (1, 1, 28, 28)


@pytest.mark.parametrize("shape", [(2, 3, 10, 12), (0, 10, 12, 3), (2, 0, 12, 3), (2, 10, 12, 5)])
def test_pixels_that_are_no_images_are_refused(tmp_path, shape):
    assert "is not N x H x W or N x H x W x C" in refused(saved(tmp_path, pixels(*shape)))


def test_inputs_as_array(tmp_path):
    array = floats(5, 3, 10, 12)
    source = open_samples(saved(tmp_path, array), IMAGE, Preprocessing((0.5,), (0.5,), known=True))
    assert (source.kind, source.origin) == ("arrays", "5 samples of data.npy")
    samples = source.make(IMAGE, 3)
    assert len(samples) == 3
    for index, sample in enumerate(samples):
        # As they are: what is float32 has been prepared already.
        np.testing.assert_array_equal(sample["x"], array[index : index + 1])
    assert source.at(IMAGE) is source


def test_arrays_have_one_size(tmp_path):
    source = open_samples(saved(tmp_path, floats(5, 3, 10, 12)), IMAGE, PLAIN, seed=3)
    other = (TensorSpec("x", (1, 3, 20, 24)),)
    assert source.at(other) == open_samples(None, other, PLAIN, seed=3)
    assert source.make(other, 1)[0]["x"].shape == (1, 3, 20, 24)


def test_several_inputs(tmp_path):
    image, query = floats(4, 3, 4, 5), floats(4, 7, seed=1)
    path = saved(tmp_path, query=query, image=image, labels=np.arange(4))
    source = open_samples(path, TWO, PLAIN)
    assert source.origin == "4 samples of data.npz"
    for index, sample in enumerate(source.make(TWO, 9)):
        assert list(sample) == ["image", "query"]
        np.testing.assert_array_equal(sample["image"], image[index : index + 1])
        np.testing.assert_array_equal(sample["query"], query[index : index + 1])


def test_several_inputs_that_do_not_go_together_are_refused(tmp_path):
    image, query = floats(4, 3, 4, 5), floats(3, 7)
    assert refused(saved(tmp_path, image=image, query=query), TWO) == "the inputs have [3, 4] samples"
    assert "input 'query' wants" in refused(saved(tmp_path, image=image), TWO)
    assert "input 'query' wants" in refused(saved(tmp_path, image), TWO)


@pytest.mark.parametrize(
    "array",
    [
        floats(2, 3, 10, 13),
        floats(2, 10, 12, 3),
        floats(2, 10, 12),
        floats(3, 10, 12),
        floats(0, 3, 10, 12),
        floats(2, 3, 10, 12).astype(np.float64),
        floats(2, 3, 10, 12).astype(np.float16),
        floats(2, 3, 10, 12).astype(">f4"),
        np.zeros((2, 3, 10, 12), np.int64),
        np.float32(3),
        np.array(["a", "b"]),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, array):
    what = refused(saved(tmp_path, array))
    assert "input 'x' wants float32 ['N', 3, 10, 12], the file has" in what
    assert str(array.dtype) in what


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(tmp_path, bad):
    array = floats(2, 3, 10, 12)
    array[1, 2, 3, 4] = bad
    assert refused(saved(tmp_path, array)) == "input 'x' holds NaN or infinity"


class Harmful:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_are_refused_and_do_not_run(tmp_path):
    trace = tmp_path / "ran"
    objects = np.array([Harmful(trace)], object)
    np.save(tmp_path / "object.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "object.npz", x=objects)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Harmful(trace)))
    for name in ("object.npy", "object.npz", "plain.npy"):
        refused(tmp_path / name)
        assert not trace.exists()
    np.load(tmp_path / "object.npy", allow_pickle=True)
    assert trace.exists()  # the plant itself works


def test_files_that_hold_no_arrays_are_refused(tmp_path):
    np.save(tmp_path / "good.npy", floats(2, 3, 10, 12))
    np.savez_compressed(tmp_path / "good.npz", x=floats(2, 3, 10, 12))
    npy, npz = (tmp_path / "good.npy").read_bytes(), (tmp_path / "good.npz").read_bytes()
    np.savez(tmp_path / "empty archive")
    huge = npy[:10] + npy[10:128].replace(b"(2, 3, 10, 12)", b"(9999999999,9)") + npy[128:]
    damaged = {
        "empty.npy": b"",
        "text.npy": b"1, 2, 3",
        "header.npy": npy[:40],
        "cut.npy": npy[:-4],
        "huge.npy": huge,
        "cut.npz": npz[: len(npz) // 2],
        "flipped.npz": npz[:200] + bytes(byte ^ 255 for byte in npz[200:300]) + npz[300:],
        "image.png": b"\x89PNG\r\n\x1a\n",
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name)
    assert refused(tmp_path / "empty archive.npz") == "the archive is empty"


def test_a_card_says_how_pixels_become_inputs(tmp_path):
    card = {"input": {"mean": [0.5, 0.25, 0], "std": [0.5, 0.25, 1], "range": [0, 1], "shape": [1, 3, 10, 12]}}
    preprocessing = Preprocessing.from_card(json.loads(json.dumps(card)))
    assert preprocessing == Preprocessing((0.5, 0.25, 0.0), (0.5, 0.25, 1.0), known=True)
    array = pixels(1, 10, 12, 3)
    sample = open_samples(saved(tmp_path, array), IMAGE, preprocessing).make(IMAGE, 1)[0]["x"]
    mean, std = np.array([0.5, 0.25, 0]), np.array([0.5, 0.25, 1])
    np.testing.assert_allclose(sample, ((array / 255 - mean) / std).transpose(0, 3, 1, 2), atol=1e-6)


@pytest.mark.parametrize(
    "card", [{}, {"input": {}}, {"input": {"shape": [1, 3, 8, 8]}}, {"input": [{"shape": [1, 7]}]}]
)
def test_a_card_that_does_not_say_so(card):
    assert Preprocessing.from_card(card) == Preprocessing((0.0,), (1.0,), known=False)


def test_one_number_for_all_channels():
    assert Preprocessing.from_card({"input": {"mean": 0.5, "std": [2]}}) == Preprocessing((0.5,), (2.0,), known=True)


@pytest.mark.parametrize(
    "described",
    [
        {"mean": [0.5]},
        {"std": [0.5]},
        {"mean": [0.5], "std": [0]},
        {"mean": ["a"], "std": [1]},
        {"mean": [], "std": [1]},
        {"mean": [None], "std": [1]},
        {"mean": [float("nan")], "std": [1]},
        {"mean": 127.5, "std": 127.5, "range": [0, 255]},
    ],
)
def test_a_card_that_contradicts_itself_is_refused(described):
    with pytest.raises(InputRefusedError, match="cannot be used") as caught:
        Preprocessing.from_card({"input": described})
    assert caught.value.where == "card"


def test_a_card_of_other_channels_is_refused(folder):
    """numpy would make three channels of one."""
    three = Preprocessing((0.5, 0.5, 0.5), (1.0,), known=True)
    with pytest.raises(InputRefusedError, match="3 channels, the network takes 1"):
        open_samples(folder, GREY, three).make(GREY, 1)
