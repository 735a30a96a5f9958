"""`convarium sync`: makes a tracker say what is stored."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.cli.arguments import Arguments

if TYPE_CHECKING:
    from convarium.tracking.sync import Sync

EVERY = 100


def main(argv: Sequence[str]) -> int:
    """Write what a tracker lacks of what is stored, or of a command line's points; twice changes nothing."""
    parser = Arguments("sync", "Make a tracker (MLflow) say what is stored; twice changes nothing.", points=True)
    parser.add_argument("--uri", help="sqlite:///FILE, postgresql://…, http://…; else a file beside the store")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.read(argv)
    from convarium.cli import output
    from convarium.cli.stored import tell_unreadable
    from convarium.tracking.address import masked

    with output.aside():
        sync = of(options.overrides, options.uri)
        sync.store.require()
        counts = sync.run(tell)
        tell_unreadable(sync.store)
    if options.json:
        output.document({"uri": masked(sync.uri), "experiment": sync.experiment, **vars(counts)})
    else:
        deleted = f", {counts.deleted} deleted there" if counts.deleted else ""
        print(f"{masked(sync.uri)}: {counts.added} added, {counts.mended} mended, {counts.same} as they were{deleted}")
    return 0


def of(overrides: Sequence[str], uri: str | None) -> "Sync":
    """Return what a command line asks to be synced; without points, all that is stored.

    Raises:
        UserError: the tracker's address is none.
    """
    from convarium.cli.points import ask
    from convarium.cli.stored import store_of
    from convarium.stages.graph import plan
    from convarium.tracking.address import address
    from convarium.tracking.group import Group
    from convarium.tracking.sync import Sync

    is_chosen = any(text.startswith("tracking=") for text in overrides)
    asked = ask(overrides if is_chosen else ["tracking=mlflow", *overrides])
    store = store_of(asked.runtime)
    uri = address(uri or asked.tracking["uri"], store.root)
    whole = Sync(store, uri, asked.tracking["experiment"])
    if not asked.chooses:
        return whole
    group = Group(plan(asked.accepted()), asked.sweep)
    many = len(group.plan.points) > 1
    return Sync(store, uri, whole.experiment, group if many else None, None if many else group.networks)


def tell(done: int, total: int) -> None:
    """Say how far a long sync is."""
    if done and done % EVERY == 0 and total > EVERY:
        print(f"{done} of {total} runs", file=sys.stderr, flush=True)
