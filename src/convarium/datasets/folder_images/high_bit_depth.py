"""Images whose pixels have more than 8 bits: the values that are stored, and how they become 0..255."""

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

NEARLY_CONSTANT_DIVISOR = (
    16  # an image that spans less than this part of the range has fewer than 16 of the 256 levels left
)
EXIF_ORIENTATION_TAG = 0x0112
HIGH_BIT_COLOUR_MODE = re.compile(
    r"(RGB|RGBA|RGBX|R|G|B|A|LA);16[BLN]"
)  # Pillow's names of 16-bit samples of which it keeps 8 bits
GREY_ALPHA_RAW_MODE, UNSIGNED_RAW_MODE = "LA;16B", "I;32N"
LIBTIFF_CODEC = "libtiff"  # gives samples in the order of this computer, and Pillow takes some for those of the file
NATIVE_RAW_MODES = {"F;32BF": "F;32F", "I;32BS": "I;32S", "I;16BS": "I;16S"} if sys.byteorder == "little" else {}
OTHER_BYTE_SUFFIX = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}

PixelExtent = tuple[float, ...]  # the least and the largest finite value; empty where there is none


def is_high_bit_depth(image: "ImageFile") -> bool:
    """Whether an opened image, not loaded yet, stores more than 8 bits a channel that can be read."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16") or _is_high_bit_colour(image)


def find_pixel_extent(path: Path) -> PixelExtent:
    """Return the least and the largest finite value that can be seen in an image; none where it can't be decoded."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            values, opacity = read_pixel_values(image)
    except Exception:  # what is damaged is told when it is decoded for training
        return ()
    seen = values if opacity is None else values[opacity > 0]
    seen = seen[abs(seen) < float("inf")]
    return (float(seen.min()), float(seen.max())) if seen.size else ()


def is_nearly_constant(extent: PixelExtent, value_range: tuple[float, float]) -> bool:
    """Whether an image is nearly constant after its values were scaled."""
    low, high = value_range
    if not extent:
        return True
    return (min(extent[1], high) - max(extent[0], low)) * NEARLY_CONSTANT_DIVISOR < high - low or low == high


def convert_to_8_bits(image: "ImageFile", value_range: tuple[float, float]) -> "Image.Image":
    """Return an opened wide image with 8 bits a channel, grey or RGB, upright as its EXIF data say.

    What is at most `value_range[0]` becomes 0, what is at least `value_range[1]` 255, linearly between; NaN becomes 0,
    what is transparent 255.
    """
    import numpy as np
    from PIL import Image, ImageOps

    low, high = value_range
    values, opacity = read_pixel_values(image)
    with np.errstate(invalid="ignore", over="ignore"):
        shares = (values - low) / (high - low or 1.0)
    shares = np.clip(np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    if opacity is not None:
        shares = 1 - (1 - shares) * (opacity[..., None] if shares.ndim > 2 else opacity)
    found = Image.fromarray(np.rint(255 * shares).astype(np.uint8))
    found.getexif()[EXIF_ORIENTATION_TAG] = image.getexif().get(EXIF_ORIENTATION_TAG, 1)
    return ImageOps.exif_transpose(found)


def read_pixel_values(image: "ImageFile") -> tuple["NDArray[Any]", "NDArray[Any] | None"]:
    """Load an opened wide image.

    Returns:
        Its values as float64 (H, W), or (H, W, 3) of a colour image; its opacity in 0..1 as float64 (H, W), or None.
    """
    import numpy as np

    hidden, unsigned = image.info.get("transparency"), _find_raw_mode(image) == UNSIGNED_RAW_MODE
    if _is_high_bit_colour(image):
        values, opacity = _split_opacity(_read_16_bit_samples(image))
    else:
        if _find_raw_mode(image) in NATIVE_RAW_MODES and image.tile[0].codec_name == LIBTIFF_CODEC:
            _change_raw_mode(image, lambda raw: NATIVE_RAW_MODES[raw])
        stored = np.asarray(image)
        values, opacity = (stored.view(np.uint32) if unsigned else stored).astype(np.float64), None
    if hidden is not None:
        same = values == np.asarray(hidden)
        opacity = 1.0 - (same.all(-1) if same.ndim > 2 else same)
    return values, opacity


def _split_opacity(samples: "NDArray[Any]") -> tuple["NDArray[Any]", "NDArray[Any] | None"]:
    """Return colours and opacity of 16-bit samples (H, W, C): grey and alpha, RGB, or RGB and alpha."""
    if samples.shape[-1] == 3:
        return samples, None
    values, opacity = samples[..., :-1], samples[..., -1] / 65535
    return (values[..., 0] if values.shape[-1] == 1 else values), opacity


def _read_16_bit_samples(image: "ImageFile") -> "NDArray[Any]":
    """Return 16-bit samples (H, W, C) as float64; Pillow keeps one byte of each, so both are asked for."""
    import numpy as np
    from PIL import Image

    if _find_raw_mode(image) == GREY_ALPHA_RAW_MODE:
        _change_raw_mode(image, lambda _: "RGBA")
        both = np.asarray(image).astype(np.float64)
        return 256 * both[..., ::2] + both[..., 1::2]
    with Image.open(image.filename) as other:
        _change_raw_mode(other, lambda raw: raw[:-1] + OTHER_BYTE_SUFFIX[raw[-1]])
        low = np.asarray(other).astype(np.float64)
    return 256 * np.asarray(image).astype(np.float64) + low


def _change_raw_mode(image: "ImageFile", change: Callable[[str], str]) -> None:
    """Let Pillow take the samples of an image, not loaded yet, for others of the same size."""

    def changed(args: Any) -> Any:
        return change(args) if isinstance(args, str) else (change(args[0]), *args[1:])

    image.tile = [tile._replace(args=changed(tile.args)) for tile in image.tile]


def _is_high_bit_colour(image: "ImageFile") -> bool:
    return HIGH_BIT_COLOUR_MODE.fullmatch(_find_raw_mode(image)) is not None


def _find_raw_mode(image: "ImageFile") -> str:
    """Return Pillow's name of how the samples are stored; empty where it has none."""
    tiles = getattr(image, "tile", None) or [None]
    args = getattr(tiles[0], "args", "")
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""
