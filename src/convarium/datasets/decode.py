"""One picture file becomes one square of pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile

from convarium.pictures.identify import LARGEST, NoPicture, check_size
from convarium.pictures.values import is_wide, narrow

MODES = {1: "L", 3: "RGB"}
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
VERSION = 1  # of what `decode` computes from a file


def decode(
    path: Path,
    size: int,
    channels: int,
    crop: float = 1.0,
    interpolation: str = "bilinear",
    value_range: Sequence[float] | None = None,
) -> NDArray[np.uint8]:
    """Return the square about the picture's centre, resized, uint8 (size, size, channels).

    EXIF orientation is heeded, transparency becomes white, of an animation the first frame is taken.

    Args:
        crop: the square's side as a share of the picture's shorter one; what is outside is cut off after resizing.
        interpolation: "bilinear" or "bicubic".
        value_range: of a picture of more than 8 bits, the values that become black and white; None takes those of
            16 bits from 0 to 65535.

    Raises:
        NoPicture: not a picture, damaged, cut off, too large, or of 32 bits without a `value_range`.
    """
    if not path.is_file():
        raise NoPicture("is not a file that can be read")
    try:
        with Image.open(path) as stored:
            check_size(*stored.size)
            whole = round(size / crop)
            image = _eight_bits(stored, (MODES[channels], (2 * whole, 2 * whole)), value_range).convert(MODES[channels])
            square = ImageOps.fit(image, (whole, whole), FILTERS[interpolation])
    except NoPicture:
        raise
    except Image.DecompressionBombError:
        raise NoPicture(f"is a picture of more than {LARGEST:,} pixels") from None
    except Exception as error:
        raise NoPicture(f"is not a picture ({' '.join(str(error).split())[:100] or type(error).__name__})") from None
    margin = (whole - size) // 2
    pixels = np.asarray(square, dtype=np.uint8).reshape(whole, whole, channels)
    return pixels[margin : margin + size, margin : margin + size]


def _eight_bits(
    stored: ImageFile, draft: tuple[str, tuple[int, int]], value_range: Sequence[float] | None
) -> Image.Image:
    """Return an opened picture upright, with 8 bits a channel and nothing transparent."""
    if value_range is not None and is_wide(stored):
        low, high = value_range
        return narrow(stored, (low, high))
    if stored.mode in ("I", "F"):
        raise NoPicture("has values of 32 bits, and dataset.value_range says of none which are black and white")
    stored.draft(*draft)
    return _flat(ImageOps.exif_transpose(stored))


def _flat(image: Image.Image) -> Image.Image:
    """Return the image with 8 bits a channel and nothing transparent."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
