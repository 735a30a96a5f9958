"""`convarium gc`: remove what nothing asks for."""

import shlex
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from convarium.cli.command_parser import CommandParser
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store
    from convarium.upkeep.garbage import Garbage

MAX_NAMES_SHOWN = 3


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("gc", "Remove what no command asks for; runtime.store=… names another store.")
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
    return parser


def main(argv: Sequence[str]) -> int:
    """Remove failures, and where asked to results, unfinished work and caches; or only say what would go."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli import output
    from convarium.compose.named_store import open_named_store
    from convarium.stages.declaration import find_stages
    from convarium.upkeep.garbage import GARBAGE_KINDS, find_garbage, remove_garbage

    store = open_named_store(options.overrides).require()
    found = list(find_garbage(store, find_stages(), _find_wanted_signatures(store, options)))
    going = [one for one in found if _is_removed(one.kind, options)]
    refused = {} if options.dry_run else remove_garbage(going)
    found, going = ([one for one in some if one not in refused] for some in (found, going))
    _print_leftovers(store, going, refused.values())
    if options.json:
        shown = [{**vars(one), "folder": str(one.folder)} for one in going]
        output.print_json({"removed": not options.dry_run, "bytes": sum(one.bytes for one in going), "results": shown})
        return 1 if refused else 0
    verb = "would go" if options.dry_run else "removed"
    for kind, meaning in GARBAGE_KINDS.items():
        own = [one for one in found if one.kind == kind]
        said = verb if _is_removed(kind, options) else f"kept; --{kind} removes them"
        print(f"{kind}: {len(own)}, {sum(one.bytes for one in own):,} bytes {said} ({meaning})")
    return 1 if refused else 0


def _print_leftovers(store: "Store", removed: Sequence["Garbage"], refused: Iterable[OSError]) -> None:
    """Say on stderr what stays that somebody might think gone."""
    from convarium.compose.store_access import print_unreadable
    from convarium.store.disk import format_error

    for one in removed:
        if one.stays:
            names = ", ".join(one.stays[:MAX_NAMES_SHOWN])
            print(f"convarium: {one.folder} holds what no stage wrote ({names}): that stays", file=sys.stderr)
    for error in refused:
        print(f"convarium: {format_error(error)}; not removed", file=sys.stderr)
    print_unreadable(store)


def _find_wanted_signatures(store: "Store", options: Namespace) -> set[str]:
    """Return what the lines of --keep ask for, and what runs; without them, what any plan asks for."""
    from convarium.compose.points import compose_points
    from convarium.planning.stage_graph import build_plan

    asked = _find_planned_signatures(store, options)
    for line in options.keep:
        asked |= build_plan(compose_points([*_split_keep_line(line), *options.overrides]).check_points()).nodes.keys()
    return asked


def _find_planned_signatures(store: "Store", options: Namespace) -> set[str]:
    """Return what stored plans ask for; while a plan can't be read, that may be anything, and nothing goes for it."""
    from convarium.store.disk import format_error
    from convarium.upkeep.garbage import find_planned_signatures

    try:
        return find_planned_signatures(store, only_living=bool(options.keep))
    except (UserError, OSError) as error:
        if options.unreferenced:
            other = "wait until its run is over" if options.keep else "name what stays with --keep"
            raise UserError(
                f"--unreferenced: {format_error(error)}; remove it, or {other}; nothing is removed"
            ) from None
        print(f"convarium: {format_error(error)}; what is unreferenced is not known", file=sys.stderr)
        return {signature for signature, _ in store.list_folders()}


def _split_keep_line(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UserError(f"--keep {line!r}: {str(error).lower()}") from None


def _is_removed(kind: str, options: Namespace) -> bool:
    from convarium.upkeep.garbage import ALWAYS_REMOVED_KINDS

    return kind in ALWAYS_REMOVED_KINDS or bool(vars(options)[kind])
