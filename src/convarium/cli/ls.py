"""`convarium ls`: what is stored."""

from collections.abc import Sequence
from typing import Any

from convarium.cli.arguments import Arguments


def main(argv: Sequence[str]) -> int:
    """List the stored results, oldest first."""
    parser = Arguments("ls", "List what is stored; runtime.store=… names another store.")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--stage", help="one stage only: train, compress, measure, time")
    options = parser.read(argv)
    from convarium.cli import output
    from convarium.cli.stored import store_named

    found = [_row(done) for done in store_named(options.overrides).results(options.stage)]
    found.sort(key=lambda row: row["started"])
    if options.json:
        output.document({"results": found})
        return 0
    from rich.table import Table

    table = Table("signature", "stage", "name", "seconds", "figures", box=None)
    for row in found:
        figures = "  ".join(f"{key} {value:.6g}" for key, value in row["metrics"].items() if value is not None)
        table.add_row(row["signature"], row["stage"], row["name"], f"{row['seconds']:.1f}", figures)
    output.console().print(table)
    return 0


def _row(done: dict[str, Any]) -> dict[str, Any]:
    named = {key: done[key] for key in ("signature", "stage", "name", "started", "seconds")}
    return {**named, "metrics": done["result"]["metrics"]}
