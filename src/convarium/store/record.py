"""The record of a finished result, and what must be in it to be read."""

from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.store import disk

FORMAT = 2
SHAPE: disk.Shape = {
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


def read(folder: Path) -> dict[str, Any] | None:
    """Return the record in a result's folder, None if it has none.

    Raises:
        UserError: it is damaged; the line says what to do.
    """
    path = folder / "done.json"
    try:
        record = disk.read_object(path, SHAPE)
        if record is not None:
            _check(record, path)
    except UserError as error:
        raise UserError(f"{error}; {made_again(folder)}") from None
    return record


def made_again(folder: Path) -> str:
    """Return what to do about a result that is damaged."""
    return f"remove the folder {folder}, and the command that asked for it makes it again"


def _check(record: dict[str, Any], path: Path) -> None:
    if record["format"] != FORMAT:
        raise UserError(f"{path} is damaged: its format is {record['format']}, this version reads {FORMAT}")
    if not isinstance(record["result"].get("metrics"), dict):
        raise UserError(f"{path} is damaged: its 'result' has no 'metrics'")
