"""Data is known by its content: a declared fingerprint, checked when the files are first read."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import file_digest, md5, sha256
from pathlib import Path

from convarium.errors import UserError

HASHES = {"md5": md5, "sha256": sha256}


def verify(files: Sequence[Path], declared: str | None, known: Sequence[str], dataset: str) -> None:
    """Check that `files` together have the declared fingerprint.

    Args:
        files: in a fixed order.
        declared: `dataset.fingerprint`.
        known: the first 16 hex digits of sha256 of each genuine file, to name the damaged one.

    Raises:
        UserError: content differs, or no fingerprint is declared.
    """
    digests = [_digest(file, "sha256", file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    found = fingerprint(digests)
    if found == declared:
        return
    wrong = [file for file, digest, good in zip(files, digests, known, strict=True) if digest[:16] != good]
    if declared and wrong:
        raise _damaged(wrong[0], dataset, "sha256")
    _compare(found, declared, dataset)


def verify_md5(files: Mapping[Path, str], declared: str | None, dataset: str) -> None:
    """Check files by the md5 that their publisher tells, and that these md5 have the declared fingerprint.

    Raises:
        UserError: content differs, or no fingerprint is declared.
    """
    for file, good in files.items():
        if _digest(file, "md5", file.stat().st_size, file.stat().st_mtime_ns) != good:
            raise _damaged(file, dataset, "md5")
    _compare(fingerprint(list(files.values())), declared, dataset)


def _compare(found: str, declared: str | None, dataset: str) -> None:
    if not declared:
        raise UserError(f"dataset.fingerprint of {dataset} is missing: the files there have {found}")
    if found != declared:
        raise UserError(f"dataset.fingerprint={declared}: the files of {dataset} have {found}")


def _damaged(file: Path, dataset: str, digest: str) -> UserError:
    return UserError(f"{file} is damaged or not the genuine file of {dataset} (its {digest} differs): put it anew")


def fingerprint(digests: Sequence[str]) -> str:
    """Return the first 16 hex digits of sha256 over the files' digests, a line each."""
    return sha256("\n".join(digests).encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def _digest(file: Path, kind: str, size: int, changed: int) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, lambda: HASHES[kind](usedforsecurity=False)).hexdigest()
