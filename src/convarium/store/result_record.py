"""The record of a finished result, and the keys that it must have to be read."""

from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.store import disk
from convarium.store.result_folder import ResultFolder

RECORD_FORMAT = 2
RECORD_SHAPE: disk.JsonShape = {
    "format": int,
    "signature": str,
    "stage": str,
    "version": int,
    "stage_config": dict,
    "parents": list,
    "fingerprint": (str, type(None)),
    "name": str,
    "started": str,
    "seconds": (int, float),
    "result": dict,
}


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record in a result folder, None if there is none.

    Raises:
        UserError: the record is damaged; the error says how to repair the result.
    """
    path = ResultFolder(folder).record
    try:
        record = disk.read_json_object(path, RECORD_SHAPE)
        if record is not None:
            _check_record(record, path)
    except UserError as error:
        raise UserError(f"{error}; {format_repair_hint(folder)}") from None
    return record


def format_repair_hint(folder: Path) -> str:
    """Return, for an error's line, what the user can do about a damaged result."""
    return f"remove the folder {folder}, and the command that asked for it makes it again"


def _check_record(record: dict[str, Any], path: Path) -> None:
    if record["format"] != RECORD_FORMAT:
        raise UserError(f"{path} is damaged: its format is {record['format']}, this version reads {RECORD_FORMAT}")
    if not isinstance(record["result"].get("metrics"), dict):
        raise UserError(f"{path} is damaged: its 'result' has no 'metrics'")
