"""`convarium compare`: table, Pareto front and paired statistics, of the points asked for or of all that is stored."""

from collections.abc import Sequence
from typing import Any

from convarium.cli.arguments import Arguments


def main(argv: Sequence[str]) -> int:
    """Print the comparison of a command line's points; without overrides, of everything stored."""
    parser = Arguments("compare", "Compare what is stored; without overrides, all of it.", points=True)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--where", action="append", default=[], metavar="EXPR", help="such as 'file_bytes<50000'")
    parser.add_argument("--best", metavar="METRIC", help="the best row only; accuracy is selected on validation")
    options = parser.read(argv)
    from convarium.cli import output

    with output.aside():
        document = _document(options.overrides, options.where, options.best)
    if options.json:
        output.document(document)
    else:
        from convarium.comparison.terminal import show

        show(document, output.console())
    return 0


def _document(overrides: Sequence[str], where: Sequence[str], best: str | None) -> dict[str, Any]:
    from convarium.cli.points import ask
    from convarium.cli.stored import store_of
    from convarium.comparison import select
    from convarium.comparison.collect import collect, collect_all
    from convarium.comparison.rows import compare
    from convarium.stages.graph import plan

    asked = ask(overrides)
    store = store_of(asked.runtime)
    if asked.chooses:
        results, missing = collect(plan(asked.accepted()), store)
    else:
        results, missing = collect_all(store), 0
    document: dict[str, Any] = compare(results, missing)
    if where:
        document = select.where(document, where)
    return select.best(document, best) if best else document
