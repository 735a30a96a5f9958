"""The content of each file, read once: kept by size and time of change in a file beside the store."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from convarium.pictures.identify import NoPicture, identify

SETTLED = 2_000_000_000  # nanoseconds; a younger file might change again within its time stamp's resolution


def digests(paths: Sequence[Path], root: Path, keep: Path | None) -> list[str | NoPicture]:
    """Return sha256 of each picture, or why a file is none; `keep` is the folder of what is known already."""
    file = keep / f"{sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json" if keep else None
    known, fresh = _read(file), dict[str, Any]()
    found = list[str | NoPicture]()
    for path in paths:
        name, stamp = str(path.relative_to(root)), _stamp(path)
        digest = known[name][2] if name in known and known[name][:2] == stamp else _digest(path)
        found.append(digest)
        if isinstance(digest, str) and time.time_ns() - stamp[1] > SETTLED:
            fresh[name] = [*stamp, digest]
    if file and fresh != known:
        _write(file, fresh)
    return found


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return [0, 0]
    return [found.st_size, found.st_mtime_ns]


def _digest(path: Path) -> str | NoPicture:
    try:
        identify(path)
        with path.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()
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
