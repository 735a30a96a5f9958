"""Whether a file is a picture, by its first bytes."""

import stat
import warnings
from pathlib import Path

from convarium.pictures.values import is_wide

LARGEST = 89_478_485  # pixels of a picture; Pillow's own bound against files that are small but unpack to gigabytes


class NoPicture(Exception):
    """A file that can't be decoded, and why."""


def identify(path: Path) -> bool:
    """Look at the head of a file; return whether its pixels have more than 8 bits a channel.

    Raises:
        NoPicture: it can't be read, has no format that Pillow knows, or is too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise NoPicture("is not a regular file")
        with warnings.catch_warnings(action="ignore"), Image.open(path) as found:
            check_size(*found.size)
            return is_wide(found)
    except Image.DecompressionBombError:
        raise NoPicture(f"is a picture of more than {LARGEST:,} pixels") from None
    except UnidentifiedImageError:
        raise NoPicture("is not a picture") from None
    except OSError as error:
        raise NoPicture(f"can't be read: {error.strerror}" if error.strerror else "is not a picture") from None
    except NoPicture:
        raise
    except Exception:
        raise NoPicture("is not a picture") from None


def is_picture(path: Path) -> bool:
    """Whether the head of a file is that of a picture that may be decoded."""
    try:
        identify(path)
    except NoPicture:
        return False
    return True


def check_size(width: int, height: int) -> None:
    """Raise NoPicture if a picture has more pixels than may be decoded."""
    if width * height > LARGEST:
        raise NoPicture(f"is a picture of {width} x {height} pixels, at most {LARGEST:,} are read")
