"""Forget what was stored or remembered of a plan's stages, so that they are done again."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from convarium.planning.plan import Plan
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store
from convarium.upkeep.garbage import remove_result_folder
from convarium.workers.lease import Lease, LeaseManager
from convarium.workers.owned_files import is_made_by_store

RETRY_KINDS = {
    "failed": "forget what failed, also what could not be reached and what was killed again and again",
    "void": "forget times that were taken while the machine was too busy",
}


def remove_for_retry(kind: str, plan: Plan, store: Store) -> int:
    """Forget the failures ("failed") or the void times ("void") among a plan's stages; return how many.

    What somebody works on at the moment stays.
    """
    return {"failed": _remove_failures, "void": _remove_void_times}[kind](plan, store)


def _remove_failures(plan: Plan, store: Store) -> int:
    forgotten = 0
    for signature in plan.nodes:
        if store.find_failure(signature) is not None and (folder := store.find_folder(signature)):
            with suppress(OSError):  # what can't be forgotten stays a failure, and is told as one
                for _ in _hold_lease(folder):
                    ResultFolder(folder).failure.unlink(missing_ok=True)
                    forgotten += 1
    return forgotten


def _remove_void_times(plan: Plan, store: Store) -> int:
    """A result has no owner, and nothing is made from a time: its folder goes in one step."""
    forgotten = 0
    for signature in plan.nodes:
        done, folder = store.find_record(signature), store.find_folder(signature)
        if (
            done is not None
            and folder is not None
            and done["result"].get("void")
            and is_made_by_store(folder, signature)
        ):
            remove_result_folder(folder)
            forgotten += 1
    return forgotten


def _hold_lease(folder: Path) -> Iterator[Lease]:
    """Yield the folder's lease if it can be had, and release it."""
    lease = LeaseManager(f"retry-{uuid4().hex}").take(folder)
    if lease is not None:
        try:
            yield lease
        finally:
            lease.release()
