"""`convarium compare`: table, Pareto front and paired statistics, of the points asked for or of all that is stored."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments
from convarium.config.paths import path
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.comparison.collect import Collected
    from convarium.store.store import Store

MARGIN = 0.2


def main(argv: Sequence[str]) -> int:
    """Print the comparison of a command line's points; without overrides, of everything stored."""
    parser = Arguments("compare", "Compare what is stored; without overrides, all of it.", points=True)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--where", action="append", default=[], metavar="EXPR", help="such as 'file_bytes<50000'")
    parser.add_argument("--html", type=path, metavar="FILE", help="a page to look at: table, plots, curves, commands")
    parser.add_argument("--csv", type=path, metavar="FILE", help="a table to work on")
    parser.add_argument("--best", metavar="METRIC", help="the best row only; accuracy is selected on validation")
    parser.add_argument("--margin", type=float, default=MARGIN, metavar="POINTS", help="of accuracy that may be lost")
    options = parser.read(argv)
    if not 0 < options.margin < 100:
        raise UserError(
            f"--margin {options.margin:g}: expected percentage points of accuracy, more than 0 and less than 100"
        )
    from convarium.cli import output

    with output.aside():
        found, store = _found(options.overrides)
        document = _document(found, options.where, options.best, options.margin)
    if options.html:
        from convarium.comparison.report.document import report
        from convarium.comparison.report.page import page

        command = shlex.join(["convarium", "compare", *argv]).encode(errors="backslashreplace").decode()
        _write("--html", options.html, page(report(document, found.results, store, command)))
    if options.csv:
        from convarium.comparison.report.table import table

        _write("--csv", options.csv, table(document))
    if options.json:
        output.document(document)
    else:
        from convarium.comparison.terminal import show

        show(document, output.console())
    return 0


def compared(overrides: Sequence[str], where: Sequence[str] = ()) -> dict[str, Any]:
    """Return the comparison of a command line's points as JSON; without overrides, of everything stored."""
    return _document(_found(overrides)[0], where, None, MARGIN)


def _found(overrides: Sequence[str]) -> tuple["Collected", "Store"]:
    from convarium.cli.points import ask
    from convarium.cli.stored import store_of, tell_unreadable
    from convarium.comparison.collect import collect, collect_all
    from convarium.stages.graph import plan

    asked = ask(overrides)
    store = store_of(asked.runtime)
    found = collect(plan(asked.accepted()), store) if asked.chooses else collect_all(store.require(to_look=True))
    tell_unreadable(store)
    return found, store


def _document(found: "Collected", where: Sequence[str], best: str | None, margin: float) -> dict[str, Any]:
    from convarium.comparison import select
    from convarium.comparison.rows import compare

    document: dict[str, Any] = compare(
        found.results, found.missing, references=found.references, refused=found.refused, margin=margin / 100
    )
    if where:
        document = select.where(document, where)
    return select.best(document, best) if best else document


def _write(option: str, file: Path, text: str) -> None:
    """Write a file and say so on stderr."""
    content = text.encode()
    try:
        file.write_bytes(content)
    except OSError as error:
        raise UserError(f"{option} {file}: can't be written: {error.strerror}") from None
    print(f"{file}: {len(content):,} bytes", file=sys.stderr)
