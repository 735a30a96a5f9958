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
    given = _select_store_overrides(options)
    from convarium.catalogue.catalogue_document import build_catalogue_row
    from convarium.catalogue.rows import is_in_section, read_catalogue_rows
    from convarium.cli import catalogue_table, output
    from convarium.compose.named_store import open_named_store
    from convarium.compose.store_access import print_unreadable

    chosen = [row for row in read_catalogue_rows() if options.section is None or is_in_section(row, options.section)]
    if not chosen:
        raise UserError(f"--section {options.section}: the catalogue has none; sections are 2.1 to 7")
    known = load_checks()
    if options.check:
        chosen = _run_check(chosen, options.check, known, options.overrides)
    store = open_named_store(given)
    found = [build_catalogue_row(row, known.get(row.id), store) for row in chosen if row.run_text or not options.built]
    print_unreadable(store)
    if options.json:
        output.print_json({"rows": found})
    else:
        from convarium import terminal_table

        for table in catalogue_table.build_catalogue_tables(found):
            terminal_table.print_fitting_table(output.build_console(), table, catalogue_table.COLUMN_RANK, markup=False)
    return 1 if options.check and not all(row["ours"]["holds"] for row in found) else 0


def _select_store_overrides(options: Namespace) -> list[Override]:
    """Return the overrides that say where things lie; a check takes others too.

    Raises:
        UserError: others without a check.
    """
    others = [override for override in options.overrides if override.group != "runtime"]
    if others and options.check is None:
        raise UserError(f"{others[0]}: catalogue takes runtime.…; the rest is of a check: --check ROW")
    return [override for override in options.overrides if override.group == "runtime"]


def _run_check(
    rows_found: Sequence["CatalogueRow"], name: str, known: Mapping[str, Json], overrides: Sequence[Override]
) -> list["CatalogueRow"]:
    """Make what a check needs and is not stored, and keep the verdict."""
    from convarium.catalogue.check_evaluation import evaluate_check
    from convarium.catalogue.check_results import write_check_result
    from convarium.cli import output
    from convarium.cli.compare import compare_command_line
    from convarium.cli.run import run_points
    from convarium.compose.points import compose_points
    from convarium.compose.store_access import open_store
    from convarium.config.messages import suggest_nearest

    chosen = [row for row in rows_found if row.id == name]
    if not chosen:
        raise UserError(f"--check {name}: no such row{suggest_nearest(name, [row.id for row in rows_found])}")
    if name not in known:
        raise UserError(f"--check {name}: it has no check; rows with one: {', '.join(sorted(known))}")
    with output.redirect_to_stderr():
        line = [f"sweep={CHECK_SWEEP_PREFIX}{name}", *overrides]
        asked = compose_points(line)
        runs, code = run_points(asked, quiet=False)
        if code:
            failed = next(run for run in runs if run["status"] != "done")
            raise UserError(f"--check {name}: not all of its sweep is done: {failed['error']}")
        write_check_result(
            open_store(asked.runtime),
            name,
            {**evaluate_check(compare_command_line(line), known[name], name), "overrides": [*overrides]},
        )
    return chosen


def load_checks() -> dict[str, Json]:
    """Return the check of every row that has one: a file in `sweeps/checks`, named after the row."""
    from convarium.compose import sweeps
    from convarium.config.checker import check_closed_group
    from convarium.config.schema import ClaimConfig

    found = {}
    for name in sweeps.list_sweeps():
        if name.startswith(CHECK_SWEEP_PREFIX):
            path, sweep = sweeps.read_sweep(name)
            found[name.removeprefix(CHECK_SWEEP_PREFIX)] = check_closed_group(
                sweep["check"], ClaimConfig, f"{path}: check"
            )
    return found
