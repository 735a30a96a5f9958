"""Where the files of runs lie: beside a SQLite database, else beside the store; elsewhere where somebody chose so."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from convarium.tracking.sqlite_address import get_sqlite_file
from convarium.tracking.tracker_address import get_address_scheme
from convarium.tracking.tracker_connection import open_database

ARTIFACTS_FOLDER_NAME = "mlartifacts"
MAX_FOLDER_NAME_BYTES = 100
UPDATE_RUN_QUERY = "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?"
UPDATE_EXPERIMENT_QUERY = "UPDATE experiments SET artifact_location = ? WHERE name = ?"


def get_artifacts_root(uri: str, store_root: Path) -> Path:
    """Return the folder of all experiments, which moves with the database where that is a file, else with the store."""
    return (
        get_sqlite_file(uri) if get_address_scheme(uri) == "sqlite" else store_root
    ).resolve().parent / ARTIFACTS_FOLDER_NAME


def get_experiment_address(artifacts_root: Path, experiment: str) -> str:
    """Return the address of an experiment's folder in `artifacts_root`."""
    return (artifacts_root / _format_folder_name(experiment)).as_uri()


def find_local_folder(address: str) -> Path | None:
    """Return the folder of an address, None if it is on no disk of this host."""
    parts = urlsplit(address)
    if not parts.scheme:
        return Path(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def is_movable_address(artifact_address: str | None, experiment: str) -> bool:
    """Whether an experiment's address is new, or one that was given here, wherever its folder was at that time."""
    found = Path() if artifact_address is None else find_local_folder(artifact_address)
    return artifact_address is None or (
        found is not None and found.parts[-2:] == (ARTIFACTS_FOLDER_NAME, _format_folder_name(experiment))
    )


def write_artifact_addresses(
    uri: str, experiment: str, experiment_address: str, run_addresses: Mapping[str, str]
) -> None:
    """Write into a database where an experiment's files lie, and those of `run_addresses` by their ids."""
    opened = open_database(uri)
    opened.execute_many(UPDATE_EXPERIMENT_QUERY, [(experiment_address, experiment)])
    opened.execute_many(UPDATE_RUN_QUERY, [(place, run) for run, place in run_addresses.items()])


def _format_folder_name(experiment: str) -> str:
    """Return a folder's name for an experiment: its own where that is a name within a folder."""
    is_name = Path(experiment).name == experiment != ".." and experiment.isprintable()
    if is_name and len(experiment.encode()) <= MAX_FOLDER_NAME_BYTES:
        return experiment
    digest = sha256(experiment.encode()).hexdigest()[:8]
    return "-".join([*re.findall("[A-Za-z0-9]+", experiment[:MAX_FOLDER_NAME_BYTES]), digest])
