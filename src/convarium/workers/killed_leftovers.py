"""What workers leave in the folders of finished results that were killed after they had written the record."""

from collections.abc import Iterable
from contextlib import suppress

from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store
from convarium.workers.lease_file import find_lease_number, remove_leases
from convarium.workers.owned_files import is_made_by_store, remove_leftovers


def remove_killed_leftovers(store: Store, done_signatures: Iterable[str]) -> None:
    """Remove leases, checkpoints and work folders of finished results."""
    for signature in done_signatures:
        folder = store.find_folder(signature)
        if folder is None:
            continue
        with suppress(OSError):
            has_leftovers = find_lease_number(folder) is not None or ResultFolder(folder).checkpoints.exists()
            if has_leftovers and is_made_by_store(folder, signature):
                remove_leases(folder)
                remove_leftovers(folder)
