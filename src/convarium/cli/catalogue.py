"""`convarium catalogue`: every system of the review, what runs it here, and what came of its check."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.catalogue.rows import Row

Json = dict[str, Any]
CHECKS = "checks/"


def main(argv: Sequence[str]) -> int:
    """Print the rows that were asked for, or run one row's check; a check that fails ends with 1."""
    parser = Arguments("catalogue", "List every system of the review: section, command, published figure, ours.")
    parser.epilog = "published: [A] agrees with the paper's abstract, [R] as the review states it, [M] not checked"
    parser.add_argument("--section", metavar="N", help="of the review, with its subsections, such as 4.1")
    parser.add_argument("--built", action="store_true", help="only what a command here runs")
    parser.add_argument("--check", metavar="ROW", help="run a row's check, then print the row")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.read(argv)
    given = _told_where(options)
    from convarium.catalogue.document import told
    from convarium.catalogue.rows import rows, within
    from convarium.cli import catalogue_table, output
    from convarium.cli.stored import store_named, tell_unreadable

    chosen = [row for row in rows() if options.section is None or within(row, options.section)]
    if not chosen:
        raise UserError(f"--section {options.section}: the catalogue has none; sections are 2.1 to 7")
    known = checks()
    if options.check:
        chosen = _checked(chosen, options.check, known, options.overrides)
    store = store_named(given)
    found = [told(row, known.get(row.id), store) for row in chosen if row.runs_by or not options.built]
    tell_unreadable(store)
    if options.json:
        output.document({"rows": found})
    else:
        from convarium import columns

        for table in catalogue_table.tables(found):
            columns.show(output.console(), table, catalogue_table.RANK, markup=False)
    return 1 if options.check and not all(row["ours"]["holds"] for row in found) else 0


def _told_where(options: Namespace) -> list[str]:
    """Return the overrides that say where things lie; a check takes others too.

    Raises:
        UserError: others without a check.
    """
    given = [text for text in options.overrides if text.startswith("runtime.")]
    if others := [text for text in options.overrides if text not in given and options.check is None]:
        raise UserError(f"{others[0]}: catalogue takes runtime.…; the rest is of a check: --check ROW")
    return given


def _checked(found: Sequence["Row"], name: str, known: Mapping[str, Json], overrides: Sequence[str]) -> list["Row"]:
    """Make what a check needs and is not stored, and keep the verdict."""
    from convarium.catalogue.checks import verdict
    from convarium.catalogue.verdicts import keep
    from convarium.cli import output
    from convarium.cli.compare import compared
    from convarium.cli.points import ask
    from convarium.cli.run import answer
    from convarium.cli.stored import store_of
    from convarium.config.words import suggestion

    chosen = [row for row in found if row.id == name]
    if not chosen:
        raise UserError(f"--check {name}: no such row{suggestion(name, [row.id for row in found])}")
    if name not in known:
        raise UserError(f"--check {name}: it has no check; rows with one: {', '.join(sorted(known))}")
    with output.aside():
        line = [f"sweep={CHECKS}{name}", *overrides]
        asked = ask(line)
        runs, code = answer(asked, quiet=False)
        if code:
            failed = next(run for run in runs if run["status"] != "done")
            raise UserError(f"--check {name}: not all of its sweep is done: {failed['error']}")
        keep(store_of(asked.runtime), name, {**verdict(compared(line), known[name], name), "overrides": [*overrides]})
    return chosen


def checks() -> dict[str, Json]:
    """Return the check of every row that has one: a file in `sweeps/checks`, named after the row."""
    from convarium.cli import sweeps
    from convarium.config.checker import closed
    from convarium.config.schema import Check

    found = {}
    for name in sweeps.known():
        if name.startswith(CHECKS):
            path, sweep = sweeps.read(name)
            found[name.removeprefix(CHECKS)] = closed(sweep["check"], Check, f"{path}: check")
    return found
