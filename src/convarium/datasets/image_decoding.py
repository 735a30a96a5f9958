"""Decoding of an image file to a square of 8-bit pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile

from convarium.datasets.folder_images.high_bit_depth import convert_to_8_bits, is_high_bit_depth
from convarium.datasets.folder_images.probe_image import MAX_IMAGE_PIXELS, UnreadableImage, check_pixel_count

MODE_OF_CHANNELS = {1: "L", 3: "RGB"}
RESAMPLING_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
DECODER_VERSION = 1  # raised when `decode_image` computes other pixels: caches of before are then not found
MAX_REASON_CHARS = 100


def decode_image(
    path: Path,
    size: int,
    channels: int,
    crop: float = 1.0,
    interpolation: str = "bilinear",
    value_range: Sequence[float] | None = None,
) -> NDArray[np.uint8]:
    """Return the square around the image's centre, resized, uint8 (size, size, channels).

    The image is turned as its EXIF orientation says, transparency becomes white, of an animation the first frame is
    taken.

    Args:
        crop: the square's side as a share of the image's shorter one; what is outside is cut off after resizing.
        interpolation: "bilinear" or "bicubic".
        value_range: of an image of more than 8 bits, the values that become black and white; None takes those of
            16 bits from 0 to 65535.

    Raises:
        UnreadableImage: not an image, damaged, cut off, too large, or of 32 bits without a `value_range`.
    """
    if not path.is_file():
        raise UnreadableImage("is not a file that can be read")
    try:
        with Image.open(path) as stored:
            check_pixel_count(*stored.size)
            resized_side = round(size / crop)
            mode = MODE_OF_CHANNELS[channels]
            # Pillow decodes a JPEG at a smaller scale, but not below this size: faster, and still enough to resample.
            draft = (mode, (2 * resized_side, 2 * resized_side))
            image = _load_as_8_bits(stored, draft, value_range).convert(mode)
            square = ImageOps.fit(image, (resized_side, resized_side), RESAMPLING_FILTERS[interpolation])
    except UnreadableImage:
        raise
    except Image.DecompressionBombError:
        raise UnreadableImage(f"is an image of more than {MAX_IMAGE_PIXELS:,} pixels") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:MAX_REASON_CHARS] or type(error).__name__
        raise UnreadableImage(f"is not an image ({reason})") from None
    margin = (resized_side - size) // 2
    pixels = np.asarray(square, dtype=np.uint8).reshape(resized_side, resized_side, channels)
    return pixels[margin : margin + size, margin : margin + size]


def _load_as_8_bits(
    stored: ImageFile, draft: tuple[str, tuple[int, int]], value_range: Sequence[float] | None
) -> Image.Image:
    """Return an opened image upright, with 8 bits a channel and nothing transparent."""
    if value_range is not None and is_high_bit_depth(stored):
        low, high = value_range
        return convert_to_8_bits(stored, (low, high))
    if stored.mode in ("I", "F"):
        raise UnreadableImage("has values of 32 bits, and dataset.value_range says of none which are black and white")
    stored.draft(*draft)
    return _remove_transparency(ImageOps.exif_transpose(stored))


def _remove_transparency(image: Image.Image) -> Image.Image:
    """Return the image with 8 bits a channel and nothing transparent."""
    if image.mode.startswith("I;16"):
        high_bytes = np.asarray(image) >> 8
        return Image.fromarray(high_bytes.astype(np.uint8))
    if not image.has_transparency_data:
        return image
    colours = image.convert("RGBA")
    white = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(white, colours)
