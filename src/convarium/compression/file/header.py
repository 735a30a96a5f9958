"""The envelope of a file and its header, checked before anything is built from it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from math import isfinite
from struct import pack, unpack_from
from typing import Any

from convarium.errors import UserError

MAGIC = b"CVM1"
FORMAT = 1
DIGEST = 32
LONGEST = 1 << 20
GIVEN = ("architecture", "classes", "input", "surgery", "task")
SITE = ("length", "name", "offset", "representation", "shape")


def wrap(header: Mapping[str, Any], blobs: bytes) -> bytes:
    """Return magic, header, blobs and digest as one file.

    Raises:
        UserError: the header isn't what `unwrap` accepts.
    """
    check(header)
    text = canonical(header)
    data = MAGIC + pack("<I", len(text)) + text + blobs
    return data + sha256(data).digest()


def unwrap(data: memoryview) -> tuple[dict[str, Any], memoryview]:
    """Return header and blobs of a file.

    Raises:
        UserError: not a file of this format, or a damaged one.
    """
    if bytes(data[:4]) != MAGIC:
        raise UserError("it doesn't begin with CVM1")
    if len(data) < 8 + DIGEST or sha256(data[:-DIGEST]).digest() != bytes(data[-DIGEST:]):
        raise UserError("it is damaged: its digest doesn't match")
    (length,) = unpack_from("<I", data, 4)
    if length > min(LONGEST, len(data) - 8 - DIGEST):
        raise UserError("its header is too long")
    header = _parse(bytes(data[8 : 8 + length]))
    check(header)
    blobs = data[8 + length : -DIGEST]
    _check_places(header["sites"], len(blobs))
    return header, blobs


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, in UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _parse(text: bytes) -> Any:
    """Parse canonical JSON; whatever json.loads takes beyond it (NaN, keys twice, spaces) is refused."""
    try:
        value = json.loads(text)
        same = canonical(value) == text
    except (ValueError, RecursionError):
        raise UserError("its header is not JSON") from None
    if not same:
        raise UserError("its header is not canonical JSON")
    return value


def check(header: Any) -> None:
    """Check keys and types of everything but the architecture, which `architectures.library` checks.

    Raises:
        UserError: a key too many or too few, a value of another type or out of bounds.
    """
    _keys(header, ("format", "sites", *GIVEN), "header")
    if header["format"] != FORMAT or type(header["format"]) is not int:
        raise UserError(f"format {str(header['format'])[:20]} is not known, only {FORMAT}")
    if not isinstance(header["architecture"], dict):
        raise UserError("architecture is not a mapping")
    _check_task(header["task"])
    _check_classes(header["classes"], header["architecture"])
    _check_input(header["input"], header["architecture"])
    if header["surgery"] != []:
        raise UserError("surgery: this version knows no edits")
    if not isinstance(header["sites"], list):
        raise UserError("sites is not a list")
    for site in header["sites"]:
        _check_site(site)


def _keys(value: Any, keys: tuple[str, ...], owner: str) -> None:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise UserError(f"{owner}: expected the keys {', '.join(sorted(keys))}")


def _check_task(task: Any) -> None:
    if not isinstance(task, str) or not 0 < len(task) <= 100:
        raise UserError("task is not a name")


def _check_classes(classes: Any, architecture: Mapping[str, Any]) -> None:
    """Their number, or a name for each."""
    number = classes if not isinstance(classes, list) else len(classes)
    if type(number) is not int or number != architecture.get("num_classes"):
        raise UserError("classes are not as many as the architecture's")
    if isinstance(classes, list) and not all(isinstance(name, str) for name in classes):
        raise UserError("classes are neither a number nor names")


def _check_input(given: Any, architecture: Mapping[str, Any]) -> None:
    _keys(given, ("mean", "shape", "std"), "input")
    channels, size = architecture.get("in_chans"), architecture.get("img_size")
    if given["shape"] != [channels, size, size]:
        raise UserError("input.shape is not the architecture's")
    for key in ("mean", "std"):
        numbers = given[key]
        if not isinstance(numbers, list) or len(numbers) != channels or not all(map(_finite, numbers)):
            raise UserError(f"input.{key} is not a list of a number for each channel")
    if not all(number > 0 for number in given["std"]):
        raise UserError("input.std is not positive")


def _check_site(site: Any) -> None:
    _keys(site, SITE, "site")
    if not isinstance(site["name"], str) or len(site["name"]) > 1000:
        raise UserError("a site's name is not a short text")
    shape = site["shape"]
    if not isinstance(shape, list) or len(shape) > 8 or not all(_whole(size, 0, 1 << 31) for size in shape):
        raise UserError(f"site {site['name'][:80]!r}: shape is not a list of sizes")
    if not (_whole(site["offset"], 0, 1 << 40) and _whole(site["length"], 0, 1 << 40)):
        raise UserError(f"site {site['name'][:80]!r}: offset and length are not sizes")
    if not isinstance(site["representation"], dict):
        raise UserError(f"site {site['name'][:80]!r}: representation is not a mapping")


def _check_places(sites: list[dict[str, Any]], size: int) -> None:
    """Blobs follow one another in the order of sites, and fill the file."""
    place = 0
    for site in sites:
        if site["offset"] != place:
            raise UserError(f"site {site['name'][:80]!r}: its blob doesn't follow the one before")
        place += site["length"]
    if place != size:
        raise UserError("its blobs are not as long as its header says")


def _whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e9 and isfinite(value)
