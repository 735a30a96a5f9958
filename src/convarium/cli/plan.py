"""`convarium plan`: what is stored, what would run, what it would cost."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.config import search_path
from convarium.noun_count import format_noun_count

if TYPE_CHECKING:
    from convarium.compose.points import PointRequest
    from convarium.planning.plan import Plan


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
        request = compose_points(options.overrides)
        # The default launcher is composed only where it is used: a user's own in its place is checked here.
        if "hydra/launcher/local" in search_path.list_shadowing_files():
            from convarium.compose.hydra_launcher import compose_launcher_config

            compose_launcher_config(request.composer.loader, request.launcher_overrides, Path(), 1)
        if not options.fast:
            from convarium.cli.network_validation import validate_networks

            request = validate_networks(request)
        if not request.points and not options.json:
            request.check_points()
        document = _build_plan_document(request, options.fast)
    if options.json:
        output.print_json(document)
    else:
        _print_plan(document)
    return 2 if request.invalid and not request.skip_invalid else 0


def _build_plan_document(request: "PointRequest", fast: bool) -> dict[str, Any]:
    from convarium.cli.dataset_summary import print_dataset_summaries, summarise_datasets
    from convarium.compose.store_access import open_store, print_unreadable
    from convarium.compose.worker_counts import count_workers
    from convarium.planning.duration_estimate import summarize_plan
    from convarium.planning.host_check import is_launched_here
    from convarium.planning.point_coverage import measure_coverages
    from convarium.planning.stage_graph import build_plan

    datasets = summarise_datasets(request.points)
    print_dataset_summaries(datasets)
    invalid = [{"overrides": list(point.overrides), "error": point.error} for point in request.invalid]
    store, plan = open_store(request.runtime), build_plan(request.points)
    workers = count_workers(request.runtime, is_launched_here(request.launcher_overrides))
    summary = summarize_plan(plan, store, invalid, workers)
    print_unreadable(store)
    networks = {} if fast else {"networks": measure_coverages(request.points)}
    hardware = _describe_hardware(plan)
    return {**summary, "datasets": datasets, **networks, "hardware": hardware, "notes": list(request.notes)}


def _describe_hardware(plan: "Plan") -> dict[str, Any] | None:
    """Return what this host has of what times are for, and how it is typed; None where the plan times nothing."""
    if not any("hardware" in node.runtime for node in plan.nodes.values()):
        return None
    from convarium.compose.override_quoting import format_quoted_override
    from convarium.host.hardware import read_hardware

    hardware = asdict(read_hardware())
    names = {f"measurement.{key}": hardware[key] for key in ("cpu", "gpu") if hardware[key]}
    return {**hardware, "overrides": [format_quoted_override(key, name) for key, name in names.items()]}


def _print_plan(document: dict[str, Any]) -> None:
    from rich.table import Table

    from convarium.cli import output
    from convarium.comparison.coverage_text import describe_coverage

    console = output.build_console()
    table = Table("stage", "stored", "to run", box=None)
    for name, counts in document["stages"].items():
        table.add_row(name, str(counts["stored"]), str(counts["to_run"]))
    line = f"{format_noun_count(document['points'], 'point')}, {document['stored']} stored, {document['to_run']} to run"
    if document["to_run"]:
        line += f", about {document['estimated_seconds']} s"
    console.print(line)
    console.print(table)
    if document["hardware"]:
        hardware = document["hardware"]
        line = f"this host: {' '.join(hardware['overrides'])} with {', '.join(hardware['executors'])}"
        console.print(line, markup=False, soft_wrap=True)
    for network in document.get("networks", ()):
        coverage = describe_coverage(network["coverage"], network["uncovered"])
        if coverage:
            console.print(f"{network['architecture']}: {coverage}", markup=False)
    for name in search_path.list_shadowing_files():
        console.print(search_path.SHADOWING_HINT.format(f"conf/{name}.yaml"))
    for note in document["notes"]:
        console.print(note, markup=False)
    for point in document["invalid"]:
        console.print(f"invalid: {' '.join(point['overrides'])}: {point['error']}", markup=False)
