"""`convarium catalogue`: every system of the review, what runs it here, and what came of its check."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.config.override import Override
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.catalogue.rows import CatalogueRow

Json = dict[str, Any]
CHECK_SWEEP_PREFIX = "checks/"


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("catalogue", "List every system of the review: section, command, published figure, ours.")
    parser.epilog = "published: [A] agrees with the paper's abstract, [R] as the review states it, [M] not checked"
    parser.add_argument("--section", metavar="N", help="of the review, with its subsections, such as 4.1")
    parser.add_argument("--built", action="store_true", help="only what a command here runs")
    parser.add_argument("--check", metavar="ROW", help="run a row's check, then print the row")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the rows that were asked for, or run one row's check; a check that fails ends with 1."""
    options = build_parser().parse_overrides(argv)
    store_overrides = _select_store_overrides(options)
    from convarium.catalogue.catalogue_document import build_catalogue_row
    from convarium.catalogue.rows import is_in_section, read_catalogue_rows
    from convarium.cli import catalogue_table, output
    from convarium.compose.named_store import open_named_store
    from convarium.compose.store_access import print_unreadable

    rows = [row for row in read_catalogue_rows() if options.section is None or is_in_section(row, options.section)]
    if not rows:
        raise UserError(f"--section {options.section}: the catalogue has none; sections are 2.1 to 7")
    checks = load_checks()
    if options.check:
        rows = _run_check(rows, options.check, checks, options.overrides)
    if options.built:
        rows = [row for row in rows if row.run_text]
    store = open_named_store(store_overrides)
    documents = [build_catalogue_row(row, checks.get(row.id), store) for row in rows]
    print_unreadable(store)
    if options.json:
        output.print_json({"rows": documents})
    else:
        from convarium import terminal_table

        for table in catalogue_table.build_catalogue_tables(documents):
            terminal_table.print_fitting_table(output.build_console(), table, catalogue_table.COLUMN_RANK)
    has_failed_check = options.check and not all(document["ours"]["holds"] for document in documents)
    return 1 if has_failed_check else 0


def _select_store_overrides(options: Namespace) -> list[Override]:
    """Return the overrides that say where the store is; a check takes others too.

    Raises:
        UserError: other overrides without a check.
    """
    others = [override for override in options.overrides if override.group != "runtime"]
    if others and options.check is None:
        raise UserError(f"{others[0]}: catalogue takes runtime.…; the rest is of a check: --check ROW")
    return [override for override in options.overrides if override.group == "runtime"]


def _run_check(
    rows: Sequence["CatalogueRow"], name: str, checks: Mapping[str, Json], overrides: Sequence[Override]
) -> list["CatalogueRow"]:
    """Make the results that a check needs, and store its verdict; return the one row that it is of."""
    from convarium.catalogue.check_evaluation import evaluate_check
    from convarium.catalogue.check_results import write_check_result
    from convarium.cli import output
    from convarium.cli.compare import compare_command_line
    from convarium.cli.run import run_points
    from convarium.compose.points import compose_points
    from convarium.compose.store_access import open_store
    from convarium.config.messages import suggest_nearest

    checked_rows = [row for row in rows if row.id == name]
    if not checked_rows:
        raise UserError(f"--check {name}: no such row{suggest_nearest(name, [row.id for row in rows])}")
    if name not in checks:
        raise UserError(f"--check {name}: it has no check; rows with one: {', '.join(sorted(checks))}")
    with output.redirect_to_stderr():
        arguments = [f"sweep={CHECK_SWEEP_PREFIX}{name}", *overrides]
        request = compose_points(arguments)
        runs, code = run_points(request, quiet=False)
        if code:
            failed_run = next(run for run in runs if run["status"] != "done")
            raise UserError(f"--check {name}: not all of its sweep is done: {failed_run['error']}")
        check_result = evaluate_check(compare_command_line(arguments), checks[name], name)
        write_check_result(open_store(request.runtime), name, {**check_result, "overrides": [*overrides]})
    return checked_rows


def load_checks() -> dict[str, Json]:
    """Return the check of every row that has one: a file in `sweeps/checks`, named after the row."""
    from convarium.compose import sweeps
    from convarium.config.checker import check_closed_group
    from convarium.config.schema import ClaimConfig

    checks = {}
    for name in sweeps.list_sweeps():
        if name.startswith(CHECK_SWEEP_PREFIX):
            path, sweep = sweeps.read_sweep(name)
            row_id = name.removeprefix(CHECK_SWEEP_PREFIX)
            checks[row_id] = check_closed_group(sweep["check"], ClaimConfig, f"{path}: check")
    return checks
