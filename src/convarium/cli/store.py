"""`convarium store merge OTHER`: copy the results of another store into this one."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from convarium.cli.command_parser import CommandParser
from convarium.config.messages import suggest_nearest
from convarium.config.paths import parse_path
from convarium.errors import UserError
from convarium.noun_count import format_noun_count

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
    """Bring the finished results, plans, verdicts and searches of another store that are missing here."""
    options, action = build_parser().parse_with_word("action", argv, further=1)
    if action not in ACTIONS:
        raise UserError(f"convarium store {action}: no such action{suggest_nearest(action, ACTIONS)}")
    if not "".join(options.further).strip():
        raise UserError(f"convarium store merge: which store? usage: {USAGE}")
    from convarium.cli import output
    from convarium.compose.named_store import open_named_store
    from convarium.upkeep.merge import merge_stores, open_other_store

    target = open_named_store(options.overrides)
    source = open_other_store(parse_path(options.further[0]), target)
    report = merge_stores(source, target, options.dry_run)
    if options.json:
        output.print_json({"merged": not options.dry_run, **asdict(report)})
    else:
        _print_report(report, target.root, options.dry_run)
    for line in (*report.damaged, *report.refused):
        print(f"convarium: {line}", file=sys.stderr)
    if report.refused:
        return 1
    return 2 if report.damaged else 0


def _print_report(report: "MergeReport", root: Path, dry_run: bool) -> None:
    verb = "would come" if dry_run else "came"
    results = format_noun_count(report.results, "result")
    print(f"{results}, {report.bytes:,} bytes, {verb} into {root}; {report.present} were there")
    if report.copied_bytes:
        shared = "the others share their room on the disk with the other store"  # as hard links
        print(f"{report.copied_bytes:,} bytes were copied, {shared}")
    if report.plans or report.checks:
        checks = "1 verdict of a check" if report.checks == 1 else f"{report.checks} verdicts of checks"
        print(f"{format_noun_count(report.plans, 'plan')} and {checks} {verb}")
    if report.searches:
        print(f"{'1 search' if report.searches == 1 else f'{report.searches} searches'} {verb}")
    if report.living_searches:
        names = ", ".join(report.living_searches)
        print(f"searches that go on there were left alone: {names}")
    if report.busy:
        names = ", ".join(report.busy)
        are, were = ("is", "was") if len(report.busy) == 1 else ("are", "were")
        busy = format_noun_count(len(report.busy), "result")
        print(f"{busy} {are} being made here at the moment and {were} left alone: {names}")
