"""Where runs' files lie: beside the SQLite database, else beside the store, unless the user chose another place."""

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
    """Return the folder of all experiments: beside a SQLite database, so that both move together, else the store."""
    neighbour = get_sqlite_file(uri) if get_address_scheme(uri) == "sqlite" else store_root
    return neighbour.resolve().parent / ARTIFACTS_FOLDER_NAME


def get_experiment_address(artifacts_root: Path, experiment: str) -> str:
    """Return the address of an experiment's folder in `artifacts_root`."""
    return (artifacts_root / _format_folder_name(experiment)).as_uri()


def find_local_folder(address: str) -> Path | None:
    """Return the folder of an address, None if that is not a path on this host."""
    parts = urlsplit(address)
    if not parts.scheme:
        return Path(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def is_movable_address(artifact_address: str | None, experiment: str) -> bool:
    """Whether Convarium may change an experiment's address: it has none yet, or one that `get_experiment_address` gave.

    Only the folder's last two names are compared, because a database or a store may have been moved since.
    """
    if artifact_address is None:
        return True
    folder = find_local_folder(artifact_address)
    return folder is not None and folder.parts[-2:] == (ARTIFACTS_FOLDER_NAME, _format_folder_name(experiment))


def write_artifact_addresses(
    uri: str, experiment: str, experiment_address: str, run_addresses: Mapping[str, str]
) -> None:
    """Write new addresses of files into a database: the experiment's, and by run id those in `run_addresses`."""
    # By SQL, because MLflow's client can't change the address of an experiment or a run that exists.
    database = open_database(uri)
    database.execute_many(UPDATE_EXPERIMENT_QUERY, [(experiment_address, experiment)])
    database.execute_many(UPDATE_RUN_QUERY, [(address, run_id) for run_id, address in run_addresses.items()])


def _format_folder_name(experiment: str) -> str:
    """Return the experiment's name where it can name a folder, else its letters and digits with a hash."""
    is_plain_name = Path(experiment).name == experiment != ".." and experiment.isprintable()
    if is_plain_name and len(experiment.encode()) <= MAX_FOLDER_NAME_BYTES:
        return experiment
    words = re.findall("[A-Za-z0-9]+", experiment[:MAX_FOLDER_NAME_BYTES])
    digest = sha256(experiment.encode()).hexdigest()[:8]
    return "-".join([*words, digest])
