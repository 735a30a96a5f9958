"""The folder of a search in the store: what it is, its journal, its trials, and the process that owns it."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.host.process import is_on_this_host
from convarium.search.asked_trials import ASKED_FILE
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.lease import HEARTBEAT_SECONDS, LEASE_TIMEOUT_SECONDS, LeaseManager
from convarium.workers.lease_file import find_lease_number
from convarium.workers.run_owner import RunOwner, take_owner

SEARCHES_FOLDER = "searches"
SEARCH_FILE = "search.json"
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class SearchFolder:
    """`<store>/searches/<signature>`."""

    path: Path

    @property
    def signature(self) -> str:
        """That of the search, which is the name of its study as well: Hyperband hashes it."""
        return self.path.name

    @property
    def description(self) -> Path:
        """What decides which trials are asked, as JSON."""
        return self.path / SEARCH_FILE

    @property
    def journal(self) -> Path:
        """Optuna's journal, JSON lines."""
        return self.path / "journal.log"

    @property
    def asked_trials(self) -> Path:
        """A line for each trial that was asked."""
        return self.path / ASKED_FILE

    def write_description(self, description: dict[str, Any], optuna_version: str) -> str | None:
        """Write down what the search is; return the version of Optuna that it was begun with, if that is another."""
        known = disk.read_json_object(self.description, {"optuna": str})
        if known is None:
            disk.write_json(self.description, {**description, "optuna": optuna_version})
            return None
        return str(known["optuna"]) if known["optuna"] != optuna_version else None


def has_search(store: Store, signature: str) -> bool:
    """Whether a search was begun in a store."""
    return (store.root / SEARCHES_FOLDER / signature).exists()


def open_search_folder(store: Store, signature: str) -> tuple[SearchFolder, RunOwner]:
    """Return the folder of a search, created where it is missing, and this process as its owner.

    Raises:
        UserError: the store can't be written to, or a living process owns the search.
    """
    root = store.root.resolve()
    folder = SearchFolder(root / SEARCHES_FOLDER / signature)
    with disk.translate_write_errors(root):
        disk.make_folder(folder.path)
        return folder, _take_owner(root, folder)


def _take_owner(root: Path, folder: SearchFolder) -> RunOwner:
    """Take the owner's lease; a process of another host is watched until it has shown whether it is alive."""
    leases = LeaseManager("")
    is_said = False
    first_content, end = _read_lease(folder.path), time.monotonic() + LEASE_TIMEOUT_SECONDS + HEARTBEAT_SECONDS
    while (owner := take_owner(root, folder.path, leases)) is None:
        lease_info = leases.read(folder.path)
        process = lease_info.owner if lease_info else None
        whose = f"{process.host} process {process.pid}" if process else "another user's process"
        is_here = process is not None and is_on_this_host(process)
        if is_here or _read_lease(folder.path) != first_content or time.monotonic() > end:
            raise UserError(f"{whose} runs this search already; `convarium status` shows what it does ({folder.path})")
        if not is_said:
            is_said = True
            print(f"convarium: waits to hear of {whose}, which ran this search", file=sys.stderr)
        time.sleep(POLL_SECONDS)
    return owner


def _read_lease(folder: Path) -> bytes:
    number = find_lease_number(folder)
    try:
        return b"" if number is None else (folder / f"lease.{number}").read_bytes()
    except OSError:
        return b""
