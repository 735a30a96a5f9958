"""Folders of real images: handwritten digits and crops of two photographs, both inside scikit-learn."""

import struct
import zlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


@cache
def load_digit_images(label: int) -> list[Image.Image]:
    """Return all images of a digit, 8x8, grey."""
    found = load_digits()
    chosen = found.images[found.target == label]
    return [Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8)) for image in chosen]


def write_digit_folder(root: Path, counts: Mapping[str, int]) -> Path:
    """Write so many digits a class below `root`; the n-th class shows the digit n."""
    for label, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for place, image in enumerate(load_digit_images(label)[:count]):
            image.save(root / name / f"{place:03}.png")
    return root


def write_photo_folder(root: Path, count: int) -> Path:
    """Write `count` crops of each of two photographs, in colour and of different sizes, as JPEG."""
    rng = np.random.default_rng(0)
    for name in ("china", "flower"):
        (root / name).mkdir(parents=True, exist_ok=True)
        with files("sklearn.datasets.images").joinpath(f"{name}.jpg").open("rb") as stream:
            photo = Image.open(stream).convert("RGB")
        for place in range(count):
            width, height = (int(side) for side in rng.integers(60, 120, 2))
            x, y = int(rng.integers(0, photo.width - width)), int(rng.integers(0, photo.height - height))
            photo.crop((x, y, x + width, y + height)).save(root / name / f"{place:03}.jpg")
    return root


def build_png_bomb(width: int, height: int) -> bytes:
    """A PNG that says it is so large, in a hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
