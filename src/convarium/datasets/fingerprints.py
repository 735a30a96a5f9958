"""Data is known by its content: a declared fingerprint, checked when the files are first read."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import file_digest, md5, sha256
from pathlib import Path

from convarium.errors import UserError

HASH_FUNCTIONS = {"md5": md5, "sha256": sha256}


def check_sha256(files: Sequence[Path], declared: str | None, known_prefixes: Sequence[str], dataset: str) -> None:
    """Check that `files` together have the declared fingerprint.

    Args:
        files: in a fixed order.
        declared: `dataset.fingerprint`.
        known_prefixes: the first 16 hex digits of sha256 of each genuine file, to name the damaged one.

    Raises:
        UserError: content differs, or no fingerprint is declared.
    """
    digests = [_hash_file(file, "sha256", file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    found = fingerprint_digests(digests)
    if found == declared:
        return
    wrong = [file for file, digest, good in zip(files, digests, known_prefixes, strict=True) if digest[:16] != good]
    if declared and wrong:
        raise _build_damaged_error(wrong[0], dataset, "sha256")
    _check_fingerprint(found, declared, dataset)


def check_md5(files: Mapping[Path, str], declared: str | None, dataset: str) -> None:
    """Check files by the md5 that their publisher tells, and that these md5 have the declared fingerprint.

    Raises:
        UserError: content differs, or no fingerprint is declared.
    """
    for file, good in files.items():
        if _hash_file(file, "md5", file.stat().st_size, file.stat().st_mtime_ns) != good:
            raise _build_damaged_error(file, dataset, "md5")
    _check_fingerprint(fingerprint_digests(list(files.values())), declared, dataset)


def _check_fingerprint(found: str, declared: str | None, dataset: str) -> None:
    if not declared:
        raise UserError(f"dataset.fingerprint of {dataset} is missing: the files there have {found}")
    if found != declared:
        raise UserError(f"dataset.fingerprint={declared}: the files of {dataset} have {found}")


def _build_damaged_error(file: Path, dataset: str, digest: str) -> UserError:
    return UserError(f"{file} is damaged or not the genuine file of {dataset} (its {digest} differs): put it anew")


def fingerprint_digests(digests: Sequence[str]) -> str:
    """Return the first 16 hex digits of sha256 over the files' digests, a line each."""
    return sha256("\n".join(digests).encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def _hash_file(file: Path, kind: str, size: int, mtime: int) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, lambda: HASH_FUNCTIONS[kind](usedforsecurity=False)).hexdigest()
