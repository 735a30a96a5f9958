"""`convarium store merge OTHER`: bring what another store holds."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from convarium.cli.command_parser import CommandParser
from convarium.config.messages import suggest_nearest
from convarium.config.paths import parse_path
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.upkeep.merge import MergeReport

USAGE = "convarium store merge OTHER [runtime.store=…] [options]"
ACTIONS = ("merge",)


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser(
        "store", "Bring what another store holds and this one lacks; runtime.store=… names this one."
    )
    parser.usage = USAGE
    parser.add_argument("--dry-run", action="store_true", help="only say what would be brought")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Bring the finished results, plans and verdicts of another store that are missing here."""
    options, action = build_parser().parse_with_word("action", argv, further=1)
    if action not in ACTIONS:
        raise UserError(f"convarium store {action}: no such action{suggest_nearest(action, ACTIONS)}")
    if not "".join(options.further).strip():
        raise UserError(f"convarium store merge: which store? usage: {USAGE}")
    from convarium.cli import output
    from convarium.compose.named_store import open_named_store
    from convarium.upkeep.merge import merge_stores, open_other_store

    target = open_named_store(options.overrides)
    found = merge_stores(open_other_store(parse_path(options.further[0]), target), target, options.dry_run)
    if options.json:
        output.print_json({"merged": not options.dry_run, **asdict(found)})
    else:
        _print_merged(found, target.root, options.dry_run)
    for line in (*found.damaged, *found.refused):
        print(f"convarium: {line}", file=sys.stderr)
    return 1 if found.refused else 2 if found.damaged else 0


def _print_merged(found: "MergeReport", root: Path, dry_run: bool) -> None:
    verb = "would come" if dry_run else "came"
    print(f"{found.results} results, {found.bytes:,} bytes, {verb} into {root}; {found.present} were there")
    if found.copied_bytes:
        print(f"{found.copied_bytes:,} bytes were copied, the others share their room on the disk with the other store")
    if found.plans or found.checks:
        print(f"{found.plans} plans and {found.checks} verdicts of checks {verb}")
    if found.busy:
        print(
            f"{len(found.busy)} results are being made here at the moment and were left alone: {', '.join(found.busy)}"
        )
