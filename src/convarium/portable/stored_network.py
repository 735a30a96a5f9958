"""A network of the store that is exported or verified: its compressed file, and the config of its dataset."""

from dataclasses import dataclass
from hashlib import sha256
from os import SEEK_END
from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.lookup import find_named_packages
from convarium.stages.declaration import makes_network
from convarium.store.result_folder import NETWORK_FILE, ResultFolder
from convarium.store.store import Store

DIGEST_BYTES = 32  # of sha256, the last bytes of a `.cvm`


@dataclass(frozen=True)
class StoredNetwork:
    """A network of the store.

    Attributes:
        signature: of the result that holds it.
        path: the compressed file.
        allowed_packages: outside packages that the file may name.
    """

    signature: str
    path: Path
    allowed_packages: tuple[str, ...]


def resolve_stored_network(store: Store, prefix: str) -> StoredNetwork:
    """Return the network that a result made, or that it measured, executed or timed.

    Args:
        prefix: of the result's signature, as short as is unique.

    Raises:
        UserError: there is no such result, it is not done, or it has no network.
    """
    signature = store.resolve_signature(prefix)
    record = store.find_record(signature)
    if record is None:
        raise UserError(f"{signature} is not done, there is no network to export")
    # The first parent of a stage that makes no network is the network that it looks at.
    network_signature = signature if makes_network(record["stage"]) else record["parents"][0]
    folder = store.find_folder(network_signature)
    path = ResultFolder(folder).network if folder else None
    if path is None or not path.is_file():
        raise UserError(f"{signature} has no {NETWORK_FILE} in {folder}")
    packages = _collect_packages(store, network_signature)
    return StoredNetwork(network_signature, path, tuple(sorted(packages)))


def match_stored_network(store: Store, path: Path) -> StoredNetwork:
    """Return the stored network that has the same digest at its file's end as the `.cvm` at `path`.

    Raises:
        UserError: the store has none, or the file is damaged.
    """
    digest = _read_digest(path)
    for signature, folder in store.list_folders():
        network_path = ResultFolder(folder).network
        has_same_digest = network_path.is_file() and _read_digest(network_path) == digest
        if has_same_digest and store.find_record(signature):
            return resolve_stored_network(store, signature)
    content = path.read_bytes()
    if sha256(content[:-DIGEST_BYTES]).digest() != content[-DIGEST_BYTES:]:
        raise UserError(f"{path} is not a valid cvm file: its digest doesn't match")
    raise UserError(f"{path} is not a file of the store {store.root}; say which network it should be: FILE SIGNATURE")


def resolve_dataset_config(store: Store, signature: str) -> dict[str, Any]:
    """Return the config of the dataset that a network was trained on, else of one that it was measured on.

    Raises:
        UserError: the store knows of no dataset for this network.
    """
    for record in store.walk_chain(signature):
        if "dataset" in record["stage_config"]:
            return dict(record["stage_config"]["dataset"])
    # An adopted network has no training in the store, but it may have been measured.
    for record in store.read_records("measure"):
        if record["parents"][0] == signature:
            return dict(record["stage_config"]["dataset"])
    raise UserError(f"{signature}: no dataset is known by which parity could be tested; measure the network first")


def _collect_packages(store: Store, signature: str) -> set[str]:
    """Return the outside packages that a result or one of its ancestors names in its config."""
    record = store.find_record(signature)
    if record is None:
        return set()
    packages = find_named_packages(record["stage_config"])
    for parent in record["parents"]:
        packages |= _collect_packages(store, parent)
    return packages


def _read_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(DIGEST_BYTES, path.stat().st_size), SEEK_END)  # a damaged file may be shorter than a digest
        return file.read()
