"""Images with more than 8 bits a channel: reading the stored values, and scaling them to 0..255."""

import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image
    from PIL.ImageFile import ImageFile

# An image that spans less than this part of the range keeps fewer than 16 of the 256 levels.
NEARLY_CONSTANT_DIVISOR = 16
EXIF_ORIENTATION_TAG = 0x0112
# Pillow's names of 16-bit samples of which it keeps 8 bits.
HIGH_BIT_COLOUR_MODE = re.compile(r"(RGB|RGBA|RGBX|R|G|B|A|LA);16[BLN]")
GREY_ALPHA_RAW_MODE = "LA;16B"
UNSIGNED_RAW_MODE = "I;32N"  # Pillow keeps the bits, but in a mode of signed numbers
LIBTIFF_CODEC = "libtiff"  # gives samples in the order of this computer, and Pillow takes some for those of the file
NATIVE_RAW_MODES = {"F;32BF": "F;32F", "I;32BS": "I;32S", "I;16BS": "I;16S"} if sys.byteorder == "little" else {}
OTHER_BYTE_SUFFIX = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}  # byte order, last in a name

PixelExtent = tuple[float, ...]  # the least and the largest finite value; empty where there is none


def is_high_bit_depth(image: "ImageFile") -> bool:
    """Whether an opened image, not loaded yet, stores more than 8 bits a channel that can be read."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16") or _is_high_bit_colour(image)


def find_pixel_extent(path: Path) -> PixelExtent:
    """Return the least and the largest finite value of an image's visible pixels; empty where it can't be decoded."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            values, opacity = read_pixel_values(image)
    except Exception:  # damage is reported when the image is decoded for training
        return ()
    if opacity is not None:
        values = values[opacity > 0]
    finite = values[abs(values) < float("inf")]  # False for NaN, too
    if finite.size == 0:
        return ()
    return float(finite.min()), float(finite.max())


def is_nearly_constant(extent: PixelExtent, value_range: tuple[float, float]) -> bool:
    """Whether an image is nearly constant after its values were scaled."""
    low, high = value_range
    if not extent or low == high:
        return True
    least, largest = extent
    span = min(largest, high) - max(least, low)
    return span * NEARLY_CONSTANT_DIVISOR < high - low


def convert_to_8_bits(image: "ImageFile", value_range: tuple[float, float]) -> "Image.Image":
    """Return an opened image of high bit depth with 8 bits a channel, grey or RGB, upright as its EXIF data say.

    Values up to `value_range[0]` become 0, values from `value_range[1]` on 255, those between are scaled linearly; NaN
    becomes 0, transparent pixels become 255.
    """
    import numpy as np
    from PIL import Image, ImageOps

    low, high = value_range
    values, opacity = read_pixel_values(image)
    with np.errstate(invalid="ignore", over="ignore"):
        shares = (values - low) / (high - low or 1.0)
    shares = np.clip(np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    if opacity is not None:
        if shares.ndim > 2:
            opacity = opacity[..., None]
        shares = 1 - (1 - shares) * opacity  # over white
    converted = Image.fromarray(np.rint(255 * shares).astype(np.uint8))
    converted.getexif()[EXIF_ORIENTATION_TAG] = image.getexif().get(EXIF_ORIENTATION_TAG, 1)
    return ImageOps.exif_transpose(converted)


def read_pixel_values(image: "ImageFile") -> tuple["NDArray[Any]", "NDArray[Any] | None"]:
    """Load an opened image of high bit depth.

    Returns:
        Its values as float64 (H, W), or (H, W, 3) of a colour image; its opacity in 0..1 as float64 (H, W), or None.
    """
    import numpy as np

    # Both are read before the image is loaded: loading drops the raw mode.
    transparent_value = image.info.get("transparency")
    is_unsigned = _find_raw_mode(image) == UNSIGNED_RAW_MODE
    opacity = None
    if _is_high_bit_colour(image):
        values, opacity = _split_opacity(_read_16_bit_samples(image))
    else:
        if _find_raw_mode(image) in NATIVE_RAW_MODES and image.tile[0].codec_name == LIBTIFF_CODEC:
            _change_raw_mode(image, lambda raw_mode: NATIVE_RAW_MODES[raw_mode])
        stored = np.asarray(image)
        if is_unsigned:
            stored = stored.view(np.uint32)
        values = stored.astype(np.float64)
    if transparent_value is not None:
        is_transparent = values == np.asarray(transparent_value)
        if is_transparent.ndim > 2:
            is_transparent = is_transparent.all(-1)
        opacity = 1.0 - is_transparent
    return values, opacity


def _split_opacity(samples: "NDArray[Any]") -> tuple["NDArray[Any]", "NDArray[Any] | None"]:
    """Return colours and opacity of 16-bit samples (H, W, C): grey and alpha, RGB, or RGB and alpha."""
    if samples.shape[-1] == 3:
        return samples, None
    values, opacity = samples[..., :-1], samples[..., -1] / 65535
    if values.shape[-1] == 1:
        values = values[..., 0]
    return values, opacity


def _read_16_bit_samples(image: "ImageFile") -> "NDArray[Any]":
    """Return 16-bit samples (H, W, C) as float64: Pillow keeps one byte of each, so the image is decoded for each byte.

    Of grey and alpha Pillow can read all four bytes as one RGBA pixel.
    """
    import numpy as np
    from PIL import Image

    if _find_raw_mode(image) == GREY_ALPHA_RAW_MODE:
        _change_raw_mode(image, lambda _: "RGBA")
        pixel_bytes = np.asarray(image).astype(np.float64)
        return 256 * pixel_bytes[..., ::2] + pixel_bytes[..., 1::2]
    with Image.open(image.filename) as swapped:
        _change_raw_mode(swapped, lambda raw_mode: raw_mode[:-1] + OTHER_BYTE_SUFFIX[raw_mode[-1]])
        low_bytes = np.asarray(swapped).astype(np.float64)
    high_bytes = np.asarray(image).astype(np.float64)
    return 256 * high_bytes + low_bytes


def _change_raw_mode(image: "ImageFile", rename: Callable[[str], str]) -> None:
    """Let Pillow read the samples of an image, which is not loaded yet, under the raw mode that `rename` returns."""
    tiles = []
    for tile in image.tile:
        args: Any = tile.args
        args = rename(args) if isinstance(args, str) else (rename(args[0]), *args[1:])
        tiles.append(tile._replace(args=args))
    image.tile = tiles


def _is_high_bit_colour(image: "ImageFile") -> bool:
    return HIGH_BIT_COLOUR_MODE.fullmatch(_find_raw_mode(image)) is not None


def _find_raw_mode(image: "ImageFile") -> str:
    """Return Pillow's name of how the samples are stored; empty where it has none."""
    tiles = getattr(image, "tile", None)
    args = getattr(tiles[0], "args", "") if tiles else ""
    if isinstance(args, tuple) and args:
        args = args[0]
    return args if isinstance(args, str) else ""
