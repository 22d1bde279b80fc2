"""Images as pixels of 8 bits, whatever the file holds."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from PIL import Image

from dwca_export.errors import InputRefusedError
from dwca_export.images import fit_image, read_image

GREY = np.arange(0, 240, 2, dtype=np.uint8).reshape(10, 12)
RGB = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)
ALPHA = np.full((10, 12, 1), 17, np.uint8)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def test_grey(tmp_path):
    pixels = read_image(saved(tmp_path / "a.png", Image.fromarray(GREY)))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, GREY[..., np.newaxis])


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tiff"])
def test_colours(tmp_path, suffix):
    np.testing.assert_array_equal(read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(RGB))), RGB)


def test_lossy_formats(tmp_path):
    smooth = np.repeat(np.linspace(0, 255, 32, dtype=np.uint8)[np.newaxis, :, np.newaxis], 24, 0).repeat(3, 2)
    for suffix in ("jpg", "webp"):
        pixels = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(smooth)))
        assert pixels.shape == smooth.shape
        assert np.abs(pixels.astype(int) - smooth).mean() < 5


def test_alpha_is_dropped(tmp_path):
    with_alpha = Image.fromarray(np.concatenate([RGB, ALPHA], axis=-1))
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", with_alpha)), RGB)
    grey = Image.fromarray(np.concatenate([GREY[..., np.newaxis], ALPHA], axis=-1))
    np.testing.assert_array_equal(read_image(saved(tmp_path / "b.png", grey)), np.repeat(GREY[..., np.newaxis], 3, 2))


def test_palettes(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode=None).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2, 1])
    expected = [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", image)), expected)
    transparent = saved(tmp_path / "b.png", image, transparency=0)
    np.testing.assert_array_equal(read_image(transparent), expected)


def test_two_colours(tmp_path):
    pixels = read_image(saved(tmp_path / "a.png", Image.fromarray(GREY > 100)))
    np.testing.assert_array_equal(pixels[..., 0], np.where(GREY > 100, 255, 0))


def test_sixteen_bits_keep_their_range(tmp_path):
    """Pillow's own conversion makes 255 of everything above 255."""
    deep = (GREY.astype(np.uint16) * 257) + 100
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", Image.fromarray(deep)))[..., 0], GREY)
    top = np.array([[0, 65535, 32768]], np.uint16)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "b.tiff", Image.fromarray(top)))[..., 0], [[0, 255, 128]])


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_thirty_two_bits_are_refused(tmp_path, dtype):
    path = saved(tmp_path / "a.tiff", Image.fromarray(GREY.astype(dtype)))
    with pytest.raises(InputRefusedError, match="32 bits") as caught:
        read_image(path)
    assert caught.value.where == str(path)


def test_damaged_files_are_refused(tmp_path):
    good = saved(tmp_path / "good.png", Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)))
    content = good.read_bytes()
    header = content[12:16] + (60_000).to_bytes(4, "big") * 2 + content[24:29]  # width and height
    bomb = content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]
    damaged = {
        "empty": b"",
        "text": b"no image",
        "truncated": content[: len(content) // 2],
        "header": content[:20],
        "signature": b"\x00" + content[1:],
        "bomb": bomb,
    }
    for name, data in damaged.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(data)
        with pytest.raises(InputRefusedError, match="not an image") as caught:
            read_image(path)
        assert caught.value.where == str(path)
        assert "\n" not in caught.value.what


@pytest.mark.parametrize("source", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_number_of_channels_to_the_networks(source, channels):
    pixels = np.full((6, 4, source), 100, np.uint8)
    fitted = fit_image(pixels, channels, 6, 4)
    assert fitted.shape == (6, 4, channels)
    assert (fitted == 100).all()


def test_what_fits_is_not_touched():
    np.testing.assert_array_equal(fit_image(RGB, 3, 10, 12), RGB)


def test_other_sizes_are_interpolated():
    ramp = np.repeat(np.linspace(0, 248, 32, dtype=np.uint8)[np.newaxis, :, np.newaxis], 8, 0)
    fitted = fit_image(ramp, 1, 4, 16)
    assert fitted.shape == (4, 16, 1)
    # Every row is the same ramp, halved.
    assert (fitted == fitted[:1]).all()
    np.testing.assert_allclose(fitted[0, 1:-1, 0], ramp[0, ::2, 0][1:-1] + 4, atol=1)
    assert fit_image(ramp, 3, 9, 65).shape == (9, 65, 3)


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_images_have_one_or_three_channels(channels):
    with pytest.raises(InputRefusedError, match=f"takes {channels} channels"):
        fit_image(RGB, channels, 10, 12)
