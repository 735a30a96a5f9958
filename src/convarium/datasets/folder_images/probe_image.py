"""Check whether a file is an image, by its first bytes."""

import stat
import warnings
from pathlib import Path

from convarium.datasets.folder_images.high_bit_depth import is_high_bit_depth

HEIC_SUFFIXES = (".heic", ".heif")
MAX_IMAGE_PIXELS = 89_478_485  # Pillow's own bound against small files that unpack to gigabytes


class UnreadableImage(Exception):
    """A file that can't be decoded; the message is the reason, to be put after the file's name."""


def probe_image(path: Path) -> bool:
    """Look at the head of a file; return whether its pixels have more than 8 bits a channel.

    Raises:
        UnreadableImage: it can't be read, has no format that Pillow knows, or is too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableImage("is not a regular file")
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            check_pixel_count(*image.size)
            return is_high_bit_depth(image)
    except Image.DecompressionBombError:
        raise UnreadableImage(f"is an image of more than {MAX_IMAGE_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        if path.suffix.lower() in HEIC_SUFFIXES:
            raise UnreadableImage("can't be read: HEIC needs pillow-heif; convert it to JPEG or PNG") from None
        raise UnreadableImage("is not an image") from None
    except OSError as error:
        # Without a text of the system it is an error of Pillow's decoder.
        raise UnreadableImage(f"can't be read: {error.strerror}" if error.strerror else "is not an image") from None
    except UnreadableImage:
        raise
    except Exception:  # decoders raise what they like of damaged bytes
        raise UnreadableImage("is not an image") from None


def is_image_file(path: Path) -> bool:
    """Whether the head of a file is that of an image that may be decoded."""
    try:
        probe_image(path)
    except UnreadableImage:
        return False
    return True


def check_pixel_count(width: int, height: int) -> None:
    """Raise UnreadableImage if an image has more pixels than may be decoded."""
    if width * height > MAX_IMAGE_PIXELS:
        raise UnreadableImage(f"is an image of {width} x {height} pixels, at most {MAX_IMAGE_PIXELS:,} are read")
