"""What the store knows of a network that is given away: its file, and the images that it was made for."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.lookup import find_named_packages
from convarium.stages.declaration import makes_network
from convarium.store.result_folder import NETWORK_FILE, ResultFolder
from convarium.store.store import Store

DIGEST_BYTES = 32


@dataclass(frozen=True)
class StoredNetwork:
    """A stored network.

    Attributes:
        signature: of the stage that made it.
        path: its compressed file.
        allowed_packages: outside packages that its file may name.
    """

    signature: str
    path: Path
    allowed_packages: tuple[str, ...]


def resolve_stored_network(store: Store, prefix: str) -> StoredNetwork:
    """Return the network at a signature, or at any unique prefix of one, or that was measured or timed there.

    Raises:
        UserError: nothing is stored there, it is not done, or it made no network.
    """
    signature = store.resolve_signature(prefix)
    done = store.find_record(signature)
    if done is None:
        raise UserError(f"{signature} is not done, there is no network to export")
    owner = signature if makes_network(done["stage"]) else done["parents"][0]
    folder = store.find_folder(owner)
    network = folder and ResultFolder(folder).network
    if network is None or not network.is_file():
        raise UserError(f"{signature} has no {NETWORK_FILE} in {folder}")
    return StoredNetwork(owner, network, tuple(sorted(_collect_packages(store, owner))))


def match_stored_network(store: Store, path: Path) -> StoredNetwork:
    """Return the network whose file has the same digest as the `.cvm` at `path`.

    Raises:
        UserError: there is none, or the file is damaged.
    """
    digest = _read_digest(path)
    for signature, folder in store.list_folders():
        network = ResultFolder(folder).network
        if network.is_file() and _read_digest(network) == digest and store.find_record(signature):
            return resolve_stored_network(store, signature)
    data = path.read_bytes()
    if sha256(data[:-DIGEST_BYTES]).digest() != data[-DIGEST_BYTES:]:
        raise UserError(f"{path} is not a valid cvm file: its digest doesn't match")
    raise UserError(f"{path} is not a file of the store {store.root}; say which network it should be: FILE SIGNATURE")


def resolve_dataset_config(store: Store, signature: str) -> dict[str, Any]:
    """Return the config of the images a network was trained or measured on.

    Raises:
        UserError: none are known.
    """
    for record in store.walk_chain(signature):
        if "dataset" in record["stage_config"]:
            return dict(record["stage_config"]["dataset"])
    for measured in store.read_records("measure"):
        if measured["parents"][0] == signature:
            return dict(measured["stage_config"]["dataset"])
    raise UserError(f"{signature}: no dataset is known by which parity could be tested; measure the network first")


def _collect_packages(store: Store, signature: str) -> set[str]:
    """Return the outside packages that a result, or what it was made from, names."""
    done = store.find_record(signature)
    return (
        find_named_packages(done["stage_config"]).union(
            *(_collect_packages(store, parent) for parent in done["parents"])
        )
        if done
        else set()
    )


def _read_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(DIGEST_BYTES, path.stat().st_size), 2)
        return file.read()
