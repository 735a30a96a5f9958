"""`convarium gc`: remove what nothing asks for."""

import shlex
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from convarium.cli.arguments import Arguments
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.garbage import Garbage
    from convarium.store.store import Store

SHOWN = 3


def main(argv: Sequence[str]) -> int:
    """Remove failures, and where asked to results, unfinished work and caches; or only say what would go."""
    parser = Arguments("gc", "Remove what no command asks for; runtime.store=… names another store.")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument("--outdated", action="store_true", help="also results of other versions of the stages")
    parser.add_argument("--unreferenced", action="store_true", help="also results that no stored plan asks for")
    parser.add_argument(
        "--keep", action="append", default=[], metavar="'ARGS'",
        help="with --unreferenced: what these arguments of a run ask for stays, instead of all that was ever asked for",
    )  # fmt: skip
    parser.add_argument("--unfinished", action="store_true", help="also work that the same command would continue")
    parser.add_argument("--cache", action="store_true", help="also what can be made again, beside the store")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.read(argv)
    from convarium.cli import output
    from convarium.cli.stored import store_named
    from convarium.stages.graph import VERSIONS
    from convarium.store.garbage import KINDS, find, remove

    store = store_named(options.overrides).require()
    found = list(find(store, VERSIONS, _asked(store, options)))
    going = [one for one in found if _goes(one.kind, options)]
    refused = {} if options.dry_run else remove(going)
    found, going = ([one for one in some if one not in refused] for some in (found, going))
    _tell(store, going, refused.values())
    if options.json:
        shown = [{**vars(one), "folder": str(one.folder)} for one in going]
        output.document({"removed": not options.dry_run, "bytes": sum(one.bytes for one in going), "results": shown})
        return 1 if refused else 0
    verb = "would go" if options.dry_run else "removed"
    for kind, meaning in KINDS.items():
        own = [one for one in found if one.kind == kind]
        said = verb if _goes(kind, options) else f"kept; --{kind} removes them"
        print(f"{kind}: {len(own)}, {sum(one.bytes for one in own):,} bytes {said} ({meaning})")
    return 1 if refused else 0


def _tell(store: "Store", going: Sequence["Garbage"], refused: Iterable[OSError]) -> None:
    """Say on stderr what stays that somebody might think gone."""
    from convarium.cli.stored import tell_unreadable
    from convarium.store.disk import told

    for one in going:
        if one.stays:
            names = ", ".join(one.stays[:SHOWN])
            print(f"convarium: {one.folder} holds what no stage wrote ({names}): that stays", file=sys.stderr)
    for error in refused:
        print(f"convarium: {told(error)}; not removed", file=sys.stderr)
    tell_unreadable(store)


def _asked(store: "Store", options: Namespace) -> set[str]:
    """Return what the lines of --keep ask for, and what runs; without them, what any plan asks for."""
    from convarium.cli.points import ask
    from convarium.stages.graph import plan

    asked = _planned(store, options)
    for line in options.keep:
        asked |= plan(ask([*_words(line), *options.overrides]).accepted()).nodes.keys()
    return asked


def _planned(store: "Store", options: Namespace) -> set[str]:
    """Return what stored plans ask for; while a plan can't be read, that may be anything, and nothing goes for it."""
    from convarium.store.disk import told
    from convarium.store.garbage import asked_by_plans

    try:
        return asked_by_plans(store, only_living=bool(options.keep))
    except (UserError, OSError) as error:
        if options.unreferenced:
            other = "wait until its run is over" if options.keep else "name what stays with --keep"
            raise UserError(f"--unreferenced: {told(error)}; remove it, or {other}; nothing is removed") from None
        print(f"convarium: {told(error)}; what is unreferenced is not known", file=sys.stderr)
        return {signature for signature, _ in store.folders()}


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UserError(f"--keep {line!r}: {str(error).lower()}") from None


def _goes(kind: str, options: Namespace) -> bool:
    from convarium.store.garbage import ALWAYS

    return kind in ALWAYS or bool(vars(options)[kind])
