"""Forget what was stored or remembered of a plan's stages, so that they are done again."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from convarium.store.contents import is_ours
from convarium.store.garbage import drop
from convarium.store.lease import Lease, Leases
from convarium.store.plan import Plan
from convarium.store.store import Store

KINDS = {
    "failed": "forget what failed, also what could not be reached and what was killed again and again",
    "void": "forget times that were taken while the machine was too busy",
}


def retry(kind: str, plan: Plan, store: Store) -> int:
    """Forget the failures ("failed") or the void times ("void") among a plan's stages; return how many.

    What somebody works on at the moment stays.
    """
    return {"failed": _failures, "void": _void}[kind](plan, store)


def _failures(plan: Plan, store: Store) -> int:
    forgotten = 0
    for signature in plan.nodes:
        if store.failed(signature) is not None and (folder := store.path(signature)):
            with suppress(OSError):  # what can't be forgotten stays a failure, and is told as one
                for _ in _owned(folder):
                    (folder / "failed.json").unlink(missing_ok=True)
                    forgotten += 1
    return forgotten


def _void(plan: Plan, store: Store) -> int:
    """A result has no owner, and nothing is made from a time: its folder goes in one step."""
    forgotten = 0
    for signature in plan.nodes:
        done, folder = store.done(signature), store.path(signature)
        if done is not None and folder is not None and done["result"].get("void") and is_ours(folder, signature):
            drop(folder)
            forgotten += 1
    return forgotten


def _owned(folder: Path) -> Iterator[Lease]:
    """Yield the folder's lease if it can be had, and release it."""
    lease = Leases(f"retry-{uuid4().hex}").take(folder)
    if lease is not None:
        try:
            yield lease
        finally:
            lease.release()
