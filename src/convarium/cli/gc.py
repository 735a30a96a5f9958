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
    parser.add_argument(
        "--unreferenced", action="store_true", help="also results that no stored plan or search asks for"
    )
    parser.add_argument(
        "--keep", action="append", default=[], metavar="'ARGS'",
        help="with --unreferenced: what these arguments of a run ask for stays, instead of all that was ever asked for",
    )  # fmt: skip
    parser.add_argument("--unfinished", action="store_true", help="also work that the same command would continue")
    parser.add_argument("--cache", action="store_true", help="also what can be made again, beside the store")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Remove failures, and what the options name besides; or only say what would be removed."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli import output
    from convarium.compose.named_store import open_named_store
    from convarium.stages.declaration import find_stages
    from convarium.upkeep.garbage import GARBAGE_KINDS, find_garbage, remove_garbage

    store = open_named_store(options.overrides).require()
    garbage = list(find_garbage(store, find_stages(), _find_wanted_signatures(store, options)))
    removable = [item for item in garbage if _is_removed(item.kind, options)]
    errors = {} if options.dry_run else remove_garbage(removable)
    garbage = [item for item in garbage if item not in errors]
    removed = [item for item in removable if item not in errors]
    _print_leftovers(store, removed, errors.values())
    code = 1 if errors else 0
    if options.json:
        results = [{**vars(item), "folder": str(item.folder)} for item in removed]
        total_bytes = sum(item.bytes for item in removed)
        output.print_json({"removed": not options.dry_run, "bytes": total_bytes, "results": results})
        return code
    verb = "would go" if options.dry_run else "removed"
    for kind, meaning in GARBAGE_KINDS.items():
        items = [item for item in garbage if item.kind == kind]
        outcome = verb if _is_removed(kind, options) else f"kept; --{kind} removes them"
        print(f"{kind}: {len(items)}, {sum(item.bytes for item in items):,} bytes {outcome} ({meaning})")
    return code


def _print_leftovers(store: "Store", removed: Sequence["Garbage"], errors: Iterable[OSError]) -> None:
    """Print on stderr what stays although the user may expect it to be gone."""
    from convarium.compose.store_access import print_unreadable
    from convarium.store.disk import format_error

    for item in removed:
        if item.foreign_names:
            names = ", ".join(item.foreign_names[:MAX_NAMES_SHOWN])
            print(f"convarium: {item.folder} holds what no stage wrote ({names}): that stays", file=sys.stderr)
    for error in errors:
        print(f"convarium: {format_error(error)}; not removed", file=sys.stderr)
    print_unreadable(store)


def _find_wanted_signatures(store: "Store", options: Namespace) -> set[str]:
    """Return the signatures that --keep lines ask for and that runs are making; without --keep, of all that asked."""
    from convarium.compose.points import compose_points
    from convarium.planning.stage_graph import build_plan

    wanted = _find_planned_signatures(store, options)
    for line in options.keep:
        request = compose_points([*_split_keep_line(line), *options.overrides])
        wanted |= build_plan(request.check_points()).nodes.keys()
    return wanted


def _find_planned_signatures(store: "Store", options: Namespace) -> set[str]:
    """Return the signatures that stored plans and searches ask for: all, while one can't be read, as it may ask any."""
    from convarium.search.stored_searches import find_searched_signatures
    from convarium.store.disk import format_error
    from convarium.upkeep.garbage import find_planned_signatures

    only_living = bool(options.keep)
    try:
        return find_planned_signatures(store, only_living) | find_searched_signatures(store, only_living)
    except (UserError, OSError) as error:
        if options.unreferenced:
            other = "wait until it is over" if options.keep else "name what stays with --keep"
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
