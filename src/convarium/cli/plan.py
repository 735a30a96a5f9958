"""`convarium plan`: what is stored, what would run, what it would cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments
from convarium.config import places

if TYPE_CHECKING:
    from convarium.cli.points import Asked


def main(argv: Sequence[str]) -> int:
    """Print the plan of a command line; exit code 2 if it has invalid points that may not be skipped."""
    parser = Arguments("plan", "Show what is stored, what would run, and what it would cost.", points=True)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--fast", action="store_true", help="check names, keys and ranges only, build no network")
    options = parser.read(argv)
    from convarium.cli import output
    from convarium.cli.points import ask

    with output.aside():
        asked = ask(options.overrides)
        if "hydra/launcher/local" in places.shadowed():
            asked.composer.launch_config(asked.launcher, Path(), 1)
        if not options.fast:
            from convarium.cli.validation import validated

            asked = validated(asked)
        if not asked.points and not options.json:
            asked.accepted()
        found = _document(asked, options.fast)
    output.document(found) if options.json else _show(found)
    return 2 if asked.invalid and not asked.skip_invalid else 0


def _document(asked: "Asked", fast: bool) -> dict[str, Any]:
    from convarium.cli.found import find_datasets, print_datasets
    from convarium.cli.stored import store_of, tell_unreadable, workers_of
    from convarium.stages.coverage import find_coverages
    from convarium.stages.graph import plan
    from convarium.store.estimate import summary

    datasets = find_datasets(asked.points)
    print_datasets(datasets)
    invalid = [{"overrides": list(one.overrides), "error": one.error} for one in asked.invalid]
    store = store_of(asked.runtime)
    planned = summary(plan(asked.points), store, invalid, workers_of(asked.runtime))
    tell_unreadable(store)
    networks = {} if fast else {"networks": find_coverages(asked.points)}
    return {**planned, "datasets": datasets, **networks, "notes": list(asked.notes)}


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table

    from convarium.cli import output
    from convarium.comparison.coverage import describe

    console = output.console()
    table = Table("stage", "stored", "to run", box=None)
    for name, counts in found["stages"].items():
        table.add_row(name, str(counts["stored"]), str(counts["to_run"]))
    cost = f", about {found['estimated_seconds']} s" if found["to_run"] else ""
    console.print(f"{found['points']} points, {found['stored']} stored, {found['to_run']} to run{cost}")
    console.print(table)
    for one in found.get("networks", ()):
        if said := describe(one["coverage"], one["uncovered"]):
            console.print(f"{one['architecture']}: {said}", markup=False)
    for name in places.shadowed():
        console.print(places.REPLACES.format(f"conf/{name}.yaml"))
    for note in found["notes"]:
        console.print(note, markup=False)
    for one in found["invalid"]:
        console.print(f"invalid: {' '.join(one['overrides'])}: {one['error']}", markup=False)
