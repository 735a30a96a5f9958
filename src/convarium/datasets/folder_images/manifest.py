"""Manifest of a folder of images: what was read of each file, kept with its size and mtime next to the store."""

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

MIN_AGE_NANOSECONDS = 2_000_000_000  # a younger file might change again within the resolution of its mtime


@dataclass(frozen=True)
class ImageContent:
    """The sha256 of an image file in hex, and the range of its pixels' values where they have more than 8 bits."""

    digest: str
    extent: PixelExtent | None


def read_image_contents(
    paths: Sequence[Path], root: Path, manifest_folder: Path | None
) -> list[ImageContent | UnreadableImage]:
    """Return the content of each image, or why a file is not one.

    Args:
        root: the folder of the images, from which the manifest names them.
        manifest_folder: the folder in which the manifest is kept; None keeps none.
    """
    manifest_file = _locate_manifest(root, manifest_folder) if manifest_folder else None
    entries = _read_manifest(manifest_file)
    new_entries = dict[str, Any]()
    contents = list[ImageContent | UnreadableImage]()
    for path in paths:
        name = str(path.relative_to(root))
        # Before the content: a file that changes in between is read again next time.
        size, mtime = _read_size_and_mtime(path)
        content = _find_unchanged(entries.get(name), size, mtime) or _read_image_content(path)
        contents.append(content)
        is_settled = time.time_ns() - mtime > MIN_AGE_NANOSECONDS
        if isinstance(content, ImageContent) and is_settled:
            # A list, as JSON has it: a tuple would differ from what was read, and the file be written each time.
            extent = None if content.extent is None else list(content.extent)
            new_entries[name] = [size, mtime, content.digest, extent]
    if manifest_file and new_entries != entries:
        _write_manifest(manifest_file, new_entries)
    return contents


def _locate_manifest(root: Path, manifest_folder: Path) -> Path:
    key = sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return manifest_folder / f"{key}.json"


def _read_size_and_mtime(path: Path) -> tuple[int, int]:
    """Return a file's size in bytes and its mtime in ns; 0 and 0 where it is gone or can't be reached."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _find_unchanged(entry: Any, size: int, mtime: int) -> ImageContent | None:
    """Return the content in a manifest's entry if the file is as it was when it was read."""
    # Entries of three values were made before extents were kept.
    if not isinstance(entry, list) or len(entry) != 4 or entry[:2] != [size, mtime]:
        return None
    digest, extent = entry[2:]
    return ImageContent(digest, None if extent is None else tuple(extent))


def _read_image_content(path: Path) -> ImageContent | UnreadableImage:
    try:
        is_high_bit_depth = probe_image(path)
        with path.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        return ImageContent(digest, find_pixel_extent(path) if is_high_bit_depth else None)
    except UnreadableImage as error:
        return error


def _read_manifest(file: Path | None) -> dict[str, Any]:
    """Return the entries of a manifest by file name, none where it is missing or damaged."""
    if file is None:
        return {}
    try:
        entries = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _write_manifest(file: Path, entries: dict[str, Any]) -> None:
    """Write the entries if the folder can be written to; without a manifest the images are read again."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        draft.write_text(json.dumps(entries))
        draft.replace(file)
