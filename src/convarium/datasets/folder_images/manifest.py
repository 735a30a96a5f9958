"""The content of each file, read once: kept by size and time of change in a file beside the store."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from convarium.datasets.folder_images.high_bit_depth import PixelExtent, find_pixel_extent
from convarium.datasets.folder_images.probe_image import UnreadableImage, probe_image

MIN_AGE_NANOSECONDS = 2_000_000_000  # nanoseconds; a younger file might change again within its time stamp's resolution


@dataclass(frozen=True)
class ImageContent:
    """The sha256 of an image, and where its pixels have more than 8 bits the range of their values."""

    digest: str
    extent: PixelExtent | None


def read_image_contents(
    paths: Sequence[Path], root: Path, manifest_folder: Path | None
) -> list[ImageContent | UnreadableImage]:
    """Return the content of each image, or why a file is not one; `manifest_folder` keeps what is known."""
    file = manifest_folder / f"{sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json" if manifest_folder else None
    known, fresh = _read_manifest(file), dict[str, Any]()
    found = list[ImageContent | UnreadableImage]()
    for path in paths:
        name, stamp = str(path.relative_to(root)), _read_size_and_mtime(path)
        content = _find_unchanged(known.get(name), stamp) or _read_image_content(path)
        found.append(content)
        if isinstance(content, ImageContent) and time.time_ns() - stamp[1] > MIN_AGE_NANOSECONDS:
            fresh[name] = [*stamp, content.digest, content.extent]
    if file and fresh != known:
        _write_manifest(file, fresh)
    return found


def _read_size_and_mtime(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return [0, 0]
    return [found.st_size, found.st_mtime_ns]


def _find_unchanged(entry: Any, stamp: list[int]) -> ImageContent | None:
    """Return what was read of a file that is as it was; entries of three were made before extents were kept."""
    if not isinstance(entry, list) or len(entry) != 4 or entry[:2] != stamp:
        return None
    return ImageContent(entry[2], None if entry[3] is None else tuple(entry[3]))


def _read_image_content(path: Path) -> ImageContent | UnreadableImage:
    try:
        wide = probe_image(path)
        with path.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        return ImageContent(digest, find_pixel_extent(path) if wide else None)
    except UnreadableImage as error:
        return error


def _read_manifest(file: Path | None) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(file.read_bytes()) if file else {}
        return found if isinstance(found, dict) else {}
    return {}


def _write_manifest(file: Path, content: dict[str, Any]) -> None:
    """Keep what is known, where that can be; without it the files are read again."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        draft.write_text(json.dumps(content))
        draft.replace(file)
