"""The envelope of a file and its header, checked before anything is built from it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from math import isfinite
from struct import pack, unpack_from
from typing import Any

from convarium.compression import edits
from convarium.compression.file import text_coder
from convarium.errors import UserError

MAGIC = b"CVM1"
FORMAT = 2
DIGEST = 32
LONGEST = 1 << 17
GIVEN = ("architecture", "classes", "input", "surgery", "task")
NEEDED = {"architecture", "mean", "std", "task"}
WHERE_DIFFERENT = {"classes", "sites", "surgery", "value_range"}
Json = dict[str, Any]
Specs = list[Json | None]


def wrap(header: Mapping[str, Any], specs: Specs, blobs: bytes) -> bytes:
    """Return magic, header, blobs and digest as one file.

    Args:
        header: GIVEN.
        specs: for each tensor, in the order of names, its representation and coder; None where it is plain.
        blobs: the bytes of all tensors.

    Raises:
        UserError: the header isn't what `unwrap` accepts.
    """
    check(header)
    coded = coded_header(header, specs)
    data = MAGIC + pack("<I", len(coded)) + coded + blobs
    return data + sha256(data).digest()


def coded_header(header: Mapping[str, Any], specs: Specs) -> bytes:
    """Return the format's number and the header as coded text.

    Raises:
        UserError: it is too long.
    """
    text = canonical(_short(header, specs))
    if len(text) > LONGEST:
        raise UserError(f"its header would be longer than {LONGEST} bytes")
    return bytes([FORMAT]) + text_coder.pack(text)


def unwrap(data: memoryview) -> tuple[Json, Specs, memoryview]:
    """Return header, specs (empty where all tensors are plain) and blobs of a file.

    Raises:
        UserError: not a file of this format, or a damaged one.
    """
    if bytes(data[:4]) != MAGIC:
        raise UserError("it doesn't begin with CVM1")
    if len(data) < 9 + DIGEST or sha256(data[:-DIGEST]).digest() != bytes(data[-DIGEST:]):
        raise UserError("it is damaged: its digest doesn't match")
    (length,) = unpack_from("<I", data, 4)
    if not 0 < length <= min(LONGEST, len(data) - 8 - DIGEST):
        raise UserError("its header is too long")
    if data[8] != FORMAT:
        raise UserError(f"format {data[8]} is not known, only {FORMAT}")
    header, specs = _parse(text_coder.unpack(data[9 : 8 + length], LONGEST))
    return header, specs, data[8 + length : -DIGEST]


def _short(header: Mapping[str, Any], specs: Specs) -> Json:
    """Leave out what follows from the architecture, and what is as usual."""
    architecture = header["architecture"]
    short = {"architecture": architecture, "task": header["task"]}
    short |= {key: value for key, value in header["input"].items() if key != "shape"}
    if header["classes"] != architecture["num_classes"]:
        short["classes"] = header["classes"]
    if header["surgery"]:
        short["surgery"] = header["surgery"]
    if any(specs):
        short["sites"] = [spec or 0 for spec in specs]
    return short


def _parse(text: bytes) -> tuple[Json, Specs]:
    """Parse a short header; whatever isn't the one form of its content (NaN, keys twice, spaces) is refused."""
    try:
        short = json.loads(text)
        if not isinstance(short, dict) or not NEEDED <= set(short) <= NEEDED | WHERE_DIFFERENT:
            raise UserError("its header hasn't the keys of a header")
        header, specs = _whole(short), _specs(short.get("sites", []))
        check(header)
        same = canonical(_short(header, specs)) == text
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, UserError) else UserError("its header is not JSON") from None
    if not same:
        raise UserError("its header is not in its one form")
    return header, specs


def _whole(short: Json) -> Json:
    """Put back what `_short` leaves out."""
    architecture = short["architecture"] if isinstance(short["architecture"], dict) else {}
    channels, size = architecture.get("in_chans"), architecture.get("img_size")
    return {
        "architecture": short["architecture"],
        "classes": short.get("classes", architecture.get("num_classes")),
        "input": {
            "shape": [channels, size, size],
            **{key: short[key] for key in ("mean", "std", "value_range") if key in short},
        },
        "surgery": short.get("surgery", []),
        "task": short["task"],
    }


def _specs(sites: Any) -> Specs:
    if not isinstance(sites, list):
        raise UserError("sites is not a list")
    for site in sites:
        if not (isinstance(site, dict) and site) and (type(site) is not int or site != 0):
            raise UserError("a site is neither 0 nor a representation")
    return [site or None for site in sites]


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, in UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def check(header: Any) -> None:
    """Check keys and types of everything but the architecture, which `architectures.library` checks.

    Raises:
        UserError: a key too many or too few, a value of another type or out of bounds.
    """
    _keys(header, GIVEN, "header")
    if not isinstance(header["architecture"], dict):
        raise UserError("architecture is not a mapping")
    _check_task(header["task"])
    _check_classes(header["classes"], header["architecture"])
    _check_input(header["input"], header["architecture"])
    edits.check(header["surgery"])


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
    scaled = isinstance(given, dict) and "value_range" in given
    _keys(given, ("mean", "shape", "std", *(("value_range",) if scaled else ())), "input")
    channels, size = architecture.get("in_chans"), architecture.get("img_size")
    if given["shape"] != [channels, size, size]:
        raise UserError("input.shape is not the architecture's")
    for key in ("mean", "std"):
        numbers = given[key]
        if not isinstance(numbers, list) or len(numbers) != channels or not all(map(_finite, numbers)):
            raise UserError(f"input.{key} is not a list of a number for each channel")
    if not all(number > 0 for number in given["std"]):
        raise UserError("input.std is not positive")
    if scaled:
        _check_range(given["value_range"])


def _check_range(given: Any) -> None:
    """The values, of pictures of more than 8 bits, that became black and white."""
    numbers = isinstance(given, list) and len(given) == 2 and all(type(one) is float and isfinite(one) for one in given)
    if not numbers or given[0] > given[1]:
        raise UserError("input.value_range is not two numbers, the lesser first")


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e9 and isfinite(value)
