"""Data is known by its content: a declared fingerprint, checked when the files are first read."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path

from convarium.errors import UserError


def verify(files: Sequence[Path], declared: str | None, known: Sequence[str], dataset: str) -> None:
    """Check that `files` together have the declared fingerprint.

    Args:
        files: in a fixed order.
        declared: `dataset.fingerprint`.
        known: the first 16 hex digits of sha256 of each genuine file, to name the damaged one.

    Raises:
        UserError: content differs, or no fingerprint is declared.
    """
    digests = [_sha256(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    found = fingerprint(digests)
    if found == declared:
        return
    if not declared:
        raise UserError(f"dataset.fingerprint of {dataset} is missing: the files there have {found}")
    wrong = [str(file) for file, digest, good in zip(files, digests, known, strict=True) if digest[:16] != good]
    if wrong:
        raise UserError(f"{wrong[0]} is damaged or not the genuine file of {dataset} (its sha256 differs): put it anew")
    raise UserError(f"dataset.fingerprint={declared}: the files of {dataset} have {found}")


def fingerprint(digests: Sequence[str]) -> str:
    """Return the first 16 hex digits of sha256 over the files' digests, a line each."""
    return sha256("\n".join(digests).encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def _sha256(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
