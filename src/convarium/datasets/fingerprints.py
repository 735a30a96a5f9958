"""Fingerprints of dataset files: a config declares one, and the files are checked against it when they are read."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
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
    digests = [_compute_digest(file, "sha256") for file in files]
    fingerprint = fingerprint_digests(digests)
    if fingerprint == declared:
        return
    if declared:
        for file, digest, prefix in zip(files, digests, known_prefixes, strict=True):
            if not digest.startswith(prefix):
                raise _build_damaged_error(file, dataset, "sha256")
    _check_fingerprint(fingerprint, declared, dataset)


def check_md5(files: Mapping[Path, str], declared: str | None, dataset: str) -> None:
    """Check files by the md5 that their publisher gives, and that these md5 have the declared fingerprint.

    Raises:
        UserError: content differs, or no fingerprint is declared.
    """
    for file, published_md5 in files.items():
        if _compute_digest(file, "md5") != published_md5:
            raise _build_damaged_error(file, dataset, "md5")
    _check_fingerprint(fingerprint_digests(list(files.values())), declared, dataset)


def _check_fingerprint(fingerprint: str, declared: str | None, dataset: str) -> None:
    if not declared:
        raise UserError(f"dataset.fingerprint of {dataset} is missing: the files there have {fingerprint}")
    if fingerprint != declared:
        raise UserError(f"dataset.fingerprint={declared}: the files of {dataset} have {fingerprint}")


def _build_damaged_error(file: Path, dataset: str, algorithm: str) -> UserError:
    return UserError(f"{file} is damaged or not the genuine file of {dataset} (its {algorithm} differs): put it anew")


def fingerprint_digests(digests: Sequence[str]) -> str:
    """Return the first 16 hex digits of sha256 over the files' digests, a line each."""
    return sha256("\n".join(digests).encode()).hexdigest()[:16]


def _compute_digest(file: Path, algorithm: str) -> str:
    """Return the digest of a file in hex; within a process it is computed again only when size or mtime changed."""
    status = file.stat()
    return _hash_file(file, algorithm, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_file(file: Path, algorithm: str, size: int, mtime: int) -> str:
    # Where security rules forbid md5, Python computes it only for other uses.
    build_hash = partial(HASH_FUNCTIONS[algorithm], usedforsecurity=False)
    with file.open("rb") as stream:
        return file_digest(stream, build_hash).hexdigest()
