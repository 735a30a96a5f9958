"""Images as instruments store them, written byte by byte: 16-bit PNG of any channels, TIFF of any type and order."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PNG_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
TIFF_SAMPLE_FORMATS = {"u": 1, "i": 2, "f": 3}
TIFF_ALPHA = 2


def write_png16(path: Path, samples: NDArray[np.uint16]) -> None:
    """Write samples (H, W) or (H, W, C) as they are, high byte first."""
    height, width, channels = (*samples.shape, 1)[:3]
    head = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOUR_TYPES[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_build_png_chunk(kind, data) for kind, data in chunks))


def _build_png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_tiff(path: Path, samples: NDArray[Any], order: str = "<", deflated: bool = False) -> None:
    """Write samples (H, W) or (H, W, C), compressed if so asked; four channels are RGB and alpha."""
    height, width, channels = (*samples.shape, 1)[:3]
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()  # type: ignore[arg-type]
    data = zlib.compress(data) if deflated else data
    tags: dict[int, list[int]] = {
        256: [width], 257: [height], 258: [8 * samples.dtype.itemsize] * channels, 259: [8 if deflated else 1],
        262: [2 if channels > 2 else 1], 273: [0], 277: [channels], 278: [height], 279: [len(data)],
        **({338: [TIFF_ALPHA]} if channels == 4 else {}), 339: [TIFF_SAMPLE_FORMATS[samples.dtype.kind]] * channels,
    }  # fmt: skip
    begin = 14 + 12 * len(tags)
    tags[273] = [begin + sum(4 * len(values) for values in tags.values() if len(values) > 1)]
    entries = behind = b""
    for tag, values in tags.items():
        packed = struct.pack(f"{order}{len(values)}I", *values)
        place = struct.pack(f"{order}I", begin + len(behind)) if len(values) > 1 else packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + place
        behind += packed if len(values) > 1 else b""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    path.write_bytes(head + entries + bytes(4) + behind + data)
