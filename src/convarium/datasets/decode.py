"""One picture file becomes one square of pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from convarium.pictures.identify import LARGEST, NoPicture, check_size

MODES = {1: "L", 3: "RGB"}
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
VERSION = 1  # of what `decode` computes from a file


def decode(
    path: Path, size: int, channels: int, crop: float = 1.0, interpolation: str = "bilinear"
) -> NDArray[np.uint8]:
    """Return the square about the picture's centre, resized, uint8 (size, size, channels).

    EXIF orientation is heeded, transparency becomes white, of an animation the first frame is taken.

    Args:
        crop: the square's side as a share of the picture's shorter one; what is outside is cut off after resizing.
        interpolation: "bilinear" or "bicubic".

    Raises:
        NoPicture: not a picture, damaged, cut off, or too large.
    """
    if not path.is_file():
        raise NoPicture("is no file that can be read")
    try:
        with Image.open(path) as stored:
            check_size(*stored.size)
            whole = round(size / crop)
            stored.draft(MODES[channels], (2 * whole, 2 * whole))
            image = _flat(ImageOps.exif_transpose(stored)).convert(MODES[channels])
            square = ImageOps.fit(image, (whole, whole), FILTERS[interpolation])
    except NoPicture:
        raise
    except Image.DecompressionBombError:
        raise NoPicture(f"is a picture of more than {LARGEST:,} pixels") from None
    except Exception as error:
        raise NoPicture(f"is no picture ({' '.join(str(error).split())[:100] or type(error).__name__})") from None
    margin = (whole - size) // 2
    pixels = np.asarray(square, dtype=np.uint8).reshape(whole, whole, channels)
    return pixels[margin : margin + size, margin : margin + size]


def _flat(image: Image.Image) -> Image.Image:
    """Return the image with 8 bits a channel and nothing transparent."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
