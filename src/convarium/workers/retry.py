"""Removal of failures and of void times among a plan's stages, so that the next run makes them again."""

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from convarium.planning.plan import Plan
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store
from convarium.upkeep.garbage import remove_result_folder
from convarium.workers.lease import LeaseManager
from convarium.workers.owned_files import is_made_by_store


def remove_for_retry(kind: str, plan: Plan, store: Store) -> int:
    """Remove the failures ("failed") or the void times ("void") of a plan's stages; return how many.

    The failure of a stage that a worker owns at the moment stays.
    """
    removers = {"failed": _remove_failures, "void": _remove_void_times}
    return removers[kind](plan, store)


def _remove_failures(plan: Plan, store: Store) -> int:
    count = 0
    for signature in plan.nodes:
        if store.find_failure(signature) is None:
            continue
        folder = store.find_folder(signature)
        if folder is None:
            continue
        with suppress(OSError):  # a failure that can't be removed is shown as one by the next run
            if _remove_failure(folder):
                count += 1
    return count


def _remove_failure(folder: Path) -> bool:
    """Remove the failure in a stage's folder, unless a worker owns the folder; return whether it was removed."""
    lease = LeaseManager(f"retry-{uuid4().hex}").take(folder)
    if lease is None:
        return False
    try:
        ResultFolder(folder).failure.unlink(missing_ok=True)
    finally:
        lease.release()
    return True


def _remove_void_times(plan: Plan, store: Store) -> int:
    """Remove whole result folders, without a lease: a finished result has no owner, and no stage starts from a time."""
    count = 0
    for signature in plan.nodes:
        record = store.find_record(signature)
        folder = store.find_folder(signature)
        if record is None or folder is None or not record["result"].get("void"):
            continue
        if is_made_by_store(folder, signature):
            remove_result_folder(folder)
            count += 1
    return count
