"""`convarium plan`: what is stored, what would run, what it would cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.config import search_path

if TYPE_CHECKING:
    from convarium.compose.points import PointRequest


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("plan", "Show what is stored, what would run, and what it would cost.", takes_points=True)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--fast", action="store_true", help="check names, keys and ranges only, build no network")
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the plan of a command line; exit code 2 if it has invalid points that may not be skipped."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli import output
    from convarium.compose.points import compose_points

    with output.redirect_to_stderr():
        asked = compose_points(options.overrides)
        if "hydra/launcher/local" in search_path.list_shadowing_files():
            asked.composer.compose_launcher_config(asked.launcher_overrides, Path(), 1)
        if not options.fast:
            from convarium.cli.network_validation import validate_networks

            asked = validate_networks(asked)
        if not asked.points and not options.json:
            asked.check_points()
        found = _build_plan_document(asked, options.fast)
    output.print_json(found) if options.json else _print_plan(found)
    return 2 if asked.invalid and not asked.skip_invalid else 0


def _build_plan_document(asked: "PointRequest", fast: bool) -> dict[str, Any]:
    from convarium.cli.dataset_summary import print_dataset_summaries, summarise_datasets
    from convarium.compose.store_access import count_workers, open_store, print_unreadable
    from convarium.planning.duration_estimate import summarize_plan
    from convarium.planning.point_coverage import measure_coverages
    from convarium.planning.stage_graph import build_plan

    datasets = summarise_datasets(asked.points)
    print_dataset_summaries(datasets)
    invalid = [{"overrides": list(one.overrides), "error": one.error} for one in asked.invalid]
    store = open_store(asked.runtime)
    planned = summarize_plan(build_plan(asked.points), store, invalid, count_workers(asked.runtime))
    print_unreadable(store)
    networks = {} if fast else {"networks": measure_coverages(asked.points)}
    return {**planned, "datasets": datasets, **networks, "notes": list(asked.notes)}


def _print_plan(found: dict[str, Any]) -> None:
    from rich.table import Table

    from convarium.cli import output
    from convarium.comparison.coverage_text import describe_coverage

    console = output.build_console()
    table = Table("stage", "stored", "to run", box=None)
    for name, counts in found["stages"].items():
        table.add_row(name, str(counts["stored"]), str(counts["to_run"]))
    cost = f", about {found['estimated_seconds']} s" if found["to_run"] else ""
    console.print(f"{found['points']} points, {found['stored']} stored, {found['to_run']} to run{cost}")
    console.print(table)
    for one in found.get("networks", ()):
        if said := describe_coverage(one["coverage"], one["uncovered"]):
            console.print(f"{one['architecture']}: {said}", markup=False)
    for name in search_path.list_shadowing_files():
        console.print(search_path.SHADOWING_HINT.format(f"conf/{name}.yaml"))
    for note in found["notes"]:
        console.print(note, markup=False)
    for one in found["invalid"]:
        console.print(f"invalid: {' '.join(one['overrides'])}: {one['error']}", markup=False)
