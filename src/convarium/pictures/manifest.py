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

from convarium.pictures.identify import NoPicture, identify
from convarium.pictures.values import Extent, find_extent

SETTLED = 2_000_000_000  # nanoseconds; a younger file might change again within its time stamp's resolution


@dataclass(frozen=True)
class Content:
    """The sha256 of a picture, and where its pixels have more than 8 bits the range of their values."""

    digest: str
    extent: Extent | None


def digests(paths: Sequence[Path], root: Path, keep: Path | None) -> list[Content | NoPicture]:
    """Return the content of each picture, or why a file is none; `keep` is the folder of what is known already."""
    file = keep / f"{sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json" if keep else None
    known, fresh = _read(file), dict[str, Any]()
    found = list[Content | NoPicture]()
    for path in paths:
        name, stamp = str(path.relative_to(root)), _stamp(path)
        content = _kept(known.get(name), stamp) or _read_content(path)
        found.append(content)
        if isinstance(content, Content) and time.time_ns() - stamp[1] > SETTLED:
            fresh[name] = [*stamp, content.digest, content.extent]
    if file and fresh != known:
        _write(file, fresh)
    return found


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return [0, 0]
    return [found.st_size, found.st_mtime_ns]


def _kept(entry: Any, stamp: list[int]) -> Content | None:
    """Return what was read of a file that is as it was; entries of three were made before extents were kept."""
    if not isinstance(entry, list) or len(entry) != 4 or entry[:2] != stamp:
        return None
    return Content(entry[2], None if entry[3] is None else tuple(entry[3]))


def _read_content(path: Path) -> Content | NoPicture:
    try:
        wide = identify(path)
        with path.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        return Content(digest, find_extent(path) if wide else None)
    except NoPicture as error:
        return error


def _read(file: Path | None) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(file.read_bytes()) if file else {}
        return found if isinstance(found, dict) else {}
    return {}


def _write(file: Path, content: dict[str, Any]) -> None:
    """Keep what is known, where that can be; without it the files are read again."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        draft.write_text(json.dumps(content))
        draft.replace(file)
