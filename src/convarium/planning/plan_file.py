"""A plan as two files: its nodes and goals, which workers read, and its points for comparisons and displays."""

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.planning.plan import Node, Plan, PlannedPoint
from convarium.store import disk

PLAN_FORMAT = 4  # of the files: raised when a field changes, so that workers refuse what they would misread
PLAN_SUFFIX, POINTS_SUFFIX = ".plan.json.gz", ".points.json.gz"
HASH_LENGTH = 16
COMPRESSION_LEVEL = 6
GZIP_WBITS = 31  # zlib's code for the format with gzip's header
MAX_JSON_BYTES = 2 << 30  # a damaged file, or one made to fill the memory, ends there


def write_plan(plan: Plan, folder: Path) -> Path:
    """Write a plan into a folder, in files named after its content; return that of its nodes and goals.

    Raises:
        OSError: the disk refuses.
    """
    plan_text, points_text = _format_plan(plan)
    name = sha256(plan_text + points_text).hexdigest()[:HASH_LENGTH]
    file = folder / f"{name}{PLAN_SUFFIX}"
    _write_files(file, plan_text, points_text)
    return file


def write_plan_as(plan: Plan, file: Path) -> None:
    """Write a plan into `file`, whose name holds "plan", and its points into that with "points" in its place.

    Raises:
        OSError: the disk refuses.
    """
    _write_files(file, *_format_plan(plan))


def find_points_file(file: Path) -> Path:
    """Return where the points of a plan lie, beside the file of its nodes and goals."""
    return file.with_name(file.name.replace("plan", "points", 1))


def read_plan(file: Path) -> Plan:
    """Read a plan with its points.

    Args:
        file: that of the nodes and goals.

    Raises:
        UserError: there is no such file, or one of the two is not a plan's, is damaged or has another format.
        OSError: one can't be read.
    """
    plan = Plan(read_plan_without_points(file).nodes, read_points(file))
    try:
        plan.check_complete()
    except UserError as error:
        raise _build_damage_error(file, error) from None
    return plan


def read_points(file: Path) -> tuple[PlannedPoint, ...]:
    """Read the points of a plan.

    Args:
        file: that of the nodes and goals.

    Raises:
        UserError: there is no file of points beside it, or it is damaged or has another format.
        OSError: it can't be read.
    """
    points_file = find_points_file(file)
    fields = _read_document(points_file)
    try:
        return tuple(PlannedPoint(**_lists_to_tuples(point)) for point in fields["points"])
    except (AttributeError, KeyError, TypeError) as error:
        raise _build_damage_error(points_file, error) from None


def read_plan_without_points(file: Path) -> Plan:
    """Read the nodes and goals of a plan, which is all that workers need.

    Raises:
        UserError: there is no such file, or it is not a plan's, is damaged or has another format.
        OSError: it can't be read.
    """
    fields = _read_document(file)
    try:
        nodes = [Node(**{**node, "parents": tuple(node["parents"])}) for node in fields["nodes"]]
        plan = Plan({node.signature: node for node in nodes}, (), tuple(fields["goals"]))
        plan.check_complete()
    except (AttributeError, KeyError, TypeError, UserError) as error:
        raise _build_damage_error(file, error) from None
    return plan


def list_plan_files(store_root: Path) -> list[Path]:
    """Return the plans of a store, one of another format included, by name."""
    files = disk.list_folder(store_root / "plans")
    return [file for file in files if not file.name.startswith(".") and not file.name.endswith(POINTS_SUFFIX)]


def has_node(file: Path, signature: str) -> bool:
    """Whether a plan mentions a signature, told from the text, much faster than to read the plan.

    Raises:
        UserError: it is damaged.
        OSError: it can't be read.
    """
    return f'"{signature}"'.encode() in _decompress(file, file.read_bytes())


def _format_plan(plan: Plan) -> tuple[bytes, bytes]:
    nodes = [_tuples_to_lists(asdict(node)) for node in plan.nodes.values()]
    points = [_tuples_to_lists(asdict(point)) for point in plan.points]
    plan_text = _format_json({"format": PLAN_FORMAT, "nodes": nodes, "goals": plan.ordered_goals})
    return plan_text, _format_json({"format": PLAN_FORMAT, "points": points})


def _write_files(file: Path, plan_text: bytes, points_text: bytes) -> None:
    # The points first: whoever finds a plan finds its points.
    disk.write_bytes(find_points_file(file), _compress(points_text))
    disk.write_bytes(file, _compress(plan_text))


def _read_document(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} is not there") from None
    if not data.startswith(b"\x1f\x8b"):
        raise UserError(f"{file} is not a plan of format {PLAN_FORMAT}")
    try:
        document = json.loads(_decompress(file, data))
    except (ValueError, RecursionError) as error:
        raise _build_damage_error(file, error) from None
    if not isinstance(document, dict) or document.get("format") != PLAN_FORMAT:
        raise UserError(f"{file} is not a plan of format {PLAN_FORMAT}")
    return document


def _decompress(file: Path, data: bytes) -> bytes:
    decompressor = zlib.decompressobj(GZIP_WBITS)
    try:
        text = decompressor.decompress(data, MAX_JSON_BYTES)
    except zlib.error as error:
        raise _build_damage_error(file, error) from None
    if not decompressor.eof:
        is_cut = not decompressor.unconsumed_tail
        raise _build_damage_error(file, "it is cut" if is_cut else f"it holds more than {MAX_JSON_BYTES:,} bytes")
    return text


def _build_damage_error(file: Path, reason: object) -> UserError:
    return UserError(f"{file} is damaged: it is not a complete plan ({reason})")


def _format_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def _compress(text: bytes) -> bytes:
    return gzip.compress(text, COMPRESSION_LEVEL, mtime=0)  # without a time: equal plans are equal files


def _tuples_to_lists(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def _lists_to_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
