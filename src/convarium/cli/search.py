"""`convarium search`: points are chosen one after another, and made as those of `run` are."""

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.noun_count import format_noun_count

if TYPE_CHECKING:
    from convarium.search.study import ToldTrial

SEARCH_HELP = """
  convarium options search                 search.trials and the other keys of a search
  convarium options search/strategy        by what it chooses; search/space, search/pruner likewise

  convarium search architecture=resnet20 dataset=fashion_mnist recipe=sgd_cosine,adamw \\
      'recipe.lr=tag(log,interval(0.001,0.3))' search.trials=40"""
SHOWN_MEASURES = ("validation_accuracy", "file_bytes", "macs")


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    text = "Choose points one after another by what the ones before gave. What sweeps is searched; so are ranges."
    parser = CommandParser(
        "search",
        text,
        takes_points=True,
        epilog=SEARCH_HELP,
        overrides_help="values that are fixed, several or a range that are searched, search.KEY=VALUE",
        beside_groups="search and seed",
    )
    multirun = parser.find_action("--multirun")
    assert multirun is not None
    multirun.help = "refused: a search is one command, and a comma is searched"
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Search; exit code 0 also where some trials failed, 1 where none could be finished."""
    options = build_parser().parse_overrides(argv)
    if options.multirun:
        raise UserError("-m: a search is one command: a comma is searched, not swept; leave -m out")
    from convarium.cli import output
    from convarium.search.session import run_search

    with output.redirect_to_stderr():
        summary = run_search([Override(text) for text in options.overrides], None if options.json else _print_trial)
    if options.json:
        output.print_json(summary)
    else:
        _print_summary(summary)
    return 0 if summary["best"] or summary["trials"] > summary["failed"] else 1


def _print_trial(told: "ToldTrial") -> None:
    from convarium.workers.progress import format_figures

    figures = format_figures(told.measures, SHOWN_MEASURES)
    print(f"trial {told.number} {told.outcome}: {figures or told.reason}", file=sys.stderr, flush=True)


def _print_summary(summary: dict[str, Any]) -> None:
    from convarium.search.audit import EXPLANATIONS
    from convarium.workers.progress import format_figures

    kinds = ("distinct", "pruned", "failed", "refused", "gated")
    counts = ", ".join(f"{summary[kind]} {kind}" for kind in kinds if summary[kind])
    print(f"{format_noun_count(summary['trials'], 'trial')} ({counts}) in {summary['path']}")
    for best in summary["best"]:
        print(f"  trial {best['trial']}: {format_figures(best['values'], tuple(best['values']))}")
        print(f"    {shlex.join(['convarium', 'run', *best['overrides']])}")
    found = {best["found"] for best in summary["best"] if "found" in best}
    for sweep in found:
        print(f"to compare it fairly: convarium run {sweep} && convarium compare {sweep}")
    for code in summary["audit"]:
        print(f"{code}: {EXPLANATIONS[code]}")
