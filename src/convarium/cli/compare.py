"""`convarium compare`: table, Pareto front and paired statistics, of the points asked for or of all that is stored."""

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.config.paths import parse_path
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.comparison.collect import CollectedResults
    from convarium.store.store import Store

DEFAULT_MARGIN_PP = 0.2


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("compare", "Compare what is stored; without overrides, all of it.", takes_points=True)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--where", action="append", default=[], metavar="EXPR", help="such as 'file_bytes<50000'")
    parser.add_argument(
        "--html", type=parse_path, metavar="FILE", help="a page to look at: table, plots, curves, commands"
    )
    parser.add_argument("--csv", type=parse_path, metavar="FILE", help="a table to work on")
    parser.add_argument("--best", metavar="METRIC", help="the best row only; accuracy is selected on validation")
    parser.add_argument(
        "--margin",
        type=float,
        default=DEFAULT_MARGIN_PP,
        metavar="PP",
        help="accuracy that may be lost, in percentage points",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the comparison of a command line's points; without overrides, of everything stored."""
    options = build_parser().parse_overrides(argv)
    if not 0 < options.margin < 100:
        raise UserError(
            f"--margin {options.margin:g}: expected percentage points of accuracy, more than 0 and less than 100"
        )
    from convarium.store.disk import pause_gc

    with pause_gc():
        _compare(options, argv)
    return 0


def _compare(options: Namespace, argv: Sequence[str]) -> None:
    from convarium.cli import output

    with output.redirect_to_stderr():
        _check_selection(options.where, options.best)
        collected, store = _collect_results(options.overrides)
        document = _build_comparison_document(collected, options.where, options.best, options.margin)
    if options.html:
        from convarium.comparison.report.html_page import build_html_page
        from convarium.comparison.report.report_document import build_report

        # An argument that is not UTF-8 can't stand in the page.
        command = shlex.join(["convarium", "compare", *argv]).encode(errors="backslashreplace").decode()
        report = build_report(document, collected.results, store, command)
        _write_output_file("--html", options.html, build_html_page(report))
    if options.csv:
        from convarium.comparison.report.csv_table import format_csv_table

        _write_output_file("--csv", options.csv, format_csv_table(document))
    if options.json:
        output.print_json(document)
    else:
        from convarium.comparison.terminal_table import print_comparison

        print_comparison(document, output.build_console())


def _check_selection(where: Sequence[str], best: str | None) -> None:
    if where or best is not None:
        from convarium.comparison.row_selection import check_selection

        check_selection(where, best)


def compare_command_line(overrides: Sequence[str], where: Sequence[str] = ()) -> dict[str, Any]:
    """Return the comparison of a command line's points as JSON; without overrides, of everything stored."""
    collected, _ = _collect_results(overrides)
    return _build_comparison_document(collected, where, None, DEFAULT_MARGIN_PP)


def _collect_results(overrides: Sequence[str]) -> tuple["CollectedResults", "Store"]:
    from convarium.comparison.collect import collect_plan_results, collect_store_results
    from convarium.compose.points import compose_points
    from convarium.compose.store_access import open_store, print_empty, print_unreadable, require_store
    from convarium.planning.stage_graph import build_plan

    request = compose_points(overrides)
    store = open_store(request.runtime)
    if request.selects_points:
        collected = collect_plan_results(build_plan(request.check_points()), store)
    else:
        collected = collect_store_results(require_store(store, read_only=True))
        if not store.list_folders():
            print_empty(store)
    print_unreadable(store)
    return collected, store


def _build_comparison_document(
    collected: "CollectedResults", where: Sequence[str], best: str | None, margin_pp: float
) -> dict[str, Any]:
    from convarium.comparison import row_selection
    from convarium.comparison.comparison_document import compare_results

    document: dict[str, Any] = compare_results(
        collected.results,
        collected.missing_count,
        dense_results=collected.dense_results,
        refused=collected.refused,
        margin=margin_pp / 100,
    )
    if where:
        document = row_selection.select_rows(document, where)
    return row_selection.select_best_rows(document, best) if best else document


def _write_output_file(option: str, file: Path, text: str) -> None:
    """Write a file and say so on stderr."""
    content = text.encode()
    try:
        file.write_bytes(content)
    except OSError as error:
        raise UserError(f"{option} {file}: can't be written: {error.strerror}") from None
    print(f"{file}: {len(content):,} bytes", file=sys.stderr)
