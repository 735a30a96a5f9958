"""Any image becomes a square of pixels; what is none is told why."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convarium.datasets.folder_images.probe_image import MAX_IMAGE_PIXELS, UnreadableImage, probe_image
from convarium.datasets.image_decoding import decode_image
from real_images import build_png_bomb, load_digit_images, write_photo_folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "image.png"


def test_a_real_photograph_is_cut_to_its_middle(tmp_path: Path) -> None:
    path = write_photo_folder(tmp_path, 1) / "china" / "000.jpg"
    photo = Image.open(path)
    side = min(photo.size)
    left, top = (photo.width - side) / 2, (photo.height - side) / 2
    middle = photo.resize((32, 32), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    difference = np.abs(decode_image(path, 32, 3).astype(int) - np.asarray(middle).astype(int))
    assert difference.max() <= 2


def test_a_crop_keeps_the_middle_of_what_is_resized(tmp_path: Path) -> None:
    path = write_photo_folder(tmp_path, 1) / "china" / "000.jpg"
    whole, middle = decode_image(path, 256, 3, interpolation="bicubic"), decode_image(path, 224, 3, 0.875, "bicubic")
    assert np.array_equal(middle, whole[16:240, 16:240])
    assert not np.array_equal(middle, decode_image(path, 224, 3, 0.875))


def test_a_digit_keeps_its_pixels_in_grey_and_in_colour(image: Path) -> None:
    load_digit_images(3)[0].save(image)
    grey = np.asarray(load_digit_images(3)[0])
    assert np.array_equal(decode_image(image, 8, 1)[:, :, 0], grey)
    assert np.array_equal(decode_image(image, 8, 3), np.stack([grey] * 3, axis=2))


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 5)])
def test_every_size_and_shape_becomes_a_square(channels: int, size: int, image: Path) -> None:
    for shape in ((1, 1), (3, 200), (64, 2)):
        Image.new("RGB", shape, "red").save(image)
        assert decode_image(image, size, channels).shape == (size, size, channels)


def test_16_bits_are_scaled_down(image: Path) -> None:
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(image)
    assert set(decode_image(image, 4, 1).flat) == {40_000 >> 8}


def test_what_is_transparent_is_white(image: Path) -> None:
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(image)
    assert set(decode_image(image, 4, 3).flat) == {255}


def test_a_photograph_stands_upright_as_its_exif_says(tmp_path: Path) -> None:
    upright = Image.fromarray(np.repeat(np.array([[0, 0], [255, 255]], dtype=np.uint8), 8, 0).repeat(8, 1))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    upright.rotate(90).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert np.abs(decode_image(tmp_path / "a.jpg", 16, 1)[:, :, 0].astype(int) - np.asarray(upright)).mean() < 12


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not an image"),
        (b"\0" * 99, "is not an image"),
        (b"a list of images", "is not an image"),
        (b"\xff\xd8\xff\xe0 cut off", "is not an image"),
        (build_png_bomb(10_000, 10_000), "is an image of 10000 x 10000 pixels, at most 89,478,485 are read"),
        (build_png_bomb(50_000, 50_000), "is an image of more than 89,478,485 pixels"),
        (build_png_bomb(8, 8), "is not an image"),
    ],
)
def test_what_is_no_image_is_told_why(content: bytes, said: str, image: Path) -> None:
    image.write_bytes(content)
    with pytest.raises(UnreadableImage, match=said) as error:
        decode_image(image, 8, 3)
    assert "\n" not in str(error.value)


def test_the_head_of_a_file_is_enough_to_tell_most(image: Path) -> None:
    image.write_bytes(build_png_bomb(8, 8))
    probe_image(image)
    image.write_bytes(build_png_bomb(10_000, 10_000))
    with pytest.raises(UnreadableImage, match="10000 x 10000"):
        probe_image(image)


def test_a_photograph_that_is_cut_off_is_no_image(tmp_path: Path) -> None:
    path = write_photo_folder(tmp_path, 1) / "flower" / "000.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(UnreadableImage, match="is not an image"):
        decode_image(path, 32, 3)


def test_the_bound_is_pillow_s_own() -> None:
    assert MAX_IMAGE_PIXELS == Image.MAX_IMAGE_PIXELS
