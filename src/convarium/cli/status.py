"""`convarium status [NAME]`: how far a sweep is, what runs where, what failed, seen from outside."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.errors import UserError
from convarium.store.result_folder import ResultFolder

if TYPE_CHECKING:
    from convarium.planning.plan import Node, Plan
    from convarium.store.store import Store

Json = dict[str, Any]


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser(
        "status", "Show how far a sweep, or all that runs, is, what runs where, and what failed.", takes_points=True
    )
    parser.usage = "convarium status [NAME] [key=value ...] [options]"
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Print points done, time left, a line for each stage that runs, and the failures of what is not done.

    Asked for nothing, it tells of all that runs in the store at the moment.
    """
    options = build_parser().parse_overrides([f"sweep={text}" if _is_sweep_name(text) else text for text in argv])
    from convarium.cli import output
    from convarium.compose.points import compose_points
    from convarium.compose.store_access import open_store, print_unreadable
    from convarium.planning.stage_graph import build_plan

    with output.redirect_to_stderr():
        asked = compose_points(options.overrides)
        store = open_store(asked.runtime)
        found = summarise_status(
            build_plan(asked.points) if asked.selects_points else merge_running_plans(store.require(read_only=True)),
            store,
        )
        print_unreadable(store)
    if options.json:
        output.print_json(found)
    elif not found["points"]:
        print(f"nothing runs in {store.root}")
    else:
        _print_status(found)
    return 0


def merge_running_plans(store: "Store") -> "Plan":
    """Return what all runs in the store ask for together that are going on, as far as their plans can be read."""
    from convarium.planning.plan import Plan
    from convarium.store.disk import format_error
    from convarium.workers.run_file import find_living_runs, read_run_plan

    found = []
    for folder, run in find_living_runs(store):
        try:
            found.append(read_run_plan(folder, run))
        except (UserError, OSError) as error:
            print(f"convarium: {format_error(error)}; what this run asks for is not known", file=sys.stderr)
    nodes = {signature: node for one in found for signature, node in one.nodes.items()}
    points = {(point.network, *point.figure_signatures): point for one in found for point in one.points}
    return Plan(nodes, tuple(points.values()))


def _is_sweep_name(text: str) -> bool:
    return "=" not in text and not text.startswith(("-", "~"))


def summarise_status(plan: "Plan", store: "Store") -> Json:
    """Return points, points done, stages left, seconds left (of as many workers as run now), running and failed."""
    from convarium.planning.duration_estimate import estimate_plan_seconds
    from convarium.workers.ready_nodes import PlanMonitor

    survey = PlanMonitor(plan).read_state(store, "")
    done, needed = survey.done, plan.select_needed(survey.done)
    open_ones = needed - survey.blocked - survey.failed.keys()
    missing = [node for signature, node in plan.nodes.items() if signature in open_ones]
    running = [told for node in missing if (told := _describe_running(node, store))]
    seconds = estimate_plan_seconds(plan, store, missing, max(1, len(running)))
    return {
        "points": len(plan.points),
        "done": sum(done.issuperset(point.figure_signatures) for point in plan.points),
        "stages_left": len(missing),
        "seconds_left": round(max(0.0, seconds - sum(one["seconds"] for one in running) / max(1, len(running)))),
        "running": running,
        "failed": sorted(
            (told for key, node in plan.nodes.items() if key in needed and (told := _describe_failure(node, store))),
            key=lambda one: one["ended"],
        ),
    }


def _describe_running(node: "Node", store: "Store") -> Json | None:
    """What a stage that has a living owner does; of an owner on another host its lease's last beat has to do."""
    from convarium.store import curves
    from convarium.workers.lease import LeaseManager

    folder = store.folder_of(node)
    claim = LeaseManager("").read(folder)
    if claim is None or claim.state != "alive":
        return None
    lease, work = folder / f"lease.{claim.number}", ResultFolder(folder).draft(claim.number)
    report = curves.read_last_report(ResultFolder(folder).curves)
    told = {key: report.get(key) for key in ("phase", "epoch", "epochs", "loss", "validation_accuracy")}
    return {
        "signature": node.signature,
        "stage": node.stage,
        "name": node.name,
        "host": claim.host,
        "pid": claim.pid,
        "seconds": _measure_age_seconds(work),
        "beat_seconds_ago": _measure_age_seconds(lease),
        **told,
    }


def _measure_age_seconds(path: Path) -> int:
    try:
        return round(max(0.0, time.time() - path.stat().st_mtime))
    except OSError:
        return 0


def _describe_failure(node: "Node", store: "Store") -> Json | None:
    record = store.find_failure(node.signature)
    named = {"signature": node.signature, "stage": node.stage, "name": node.name}
    told = {"ended": record.get("ended", ""), "host": record.get("host")} if record else {}
    return record and {**named, "kind": record.get("kind"), "error": record["error"], **told}


def _print_status(found: Json) -> None:
    from rich.table import Column, Table

    from convarium import terminal_table
    from convarium.cli import output
    from convarium.workers.lease import LEASE_TIMEOUT_SECONDS
    from convarium.workers.progress import REPORT_METRICS, format_duration, format_figures

    console = output.build_console()
    stages, seconds = found["stages_left"], format_duration(found["seconds_left"])
    left = f", {stages} stages left, about {seconds}" if stages else ""
    console.print(f"{found['done']} of {found['points']} points done{left}")
    name, told = (Column(name, overflow="fold") for name in ("name", "figures"))
    table = Table("running", name, "phase", "epoch", told, "since", "where", box=None)
    for one in found["running"]:
        epoch = f"{one['epoch']}/{one['epochs']}" if one["epoch"] is not None else ""
        silent = one["beat_seconds_ago"] > LEASE_TIMEOUT_SECONDS
        where = f"{one['host']} {one['pid']}{', silent' if silent else ''}"
        reported, since = format_figures(one, REPORT_METRICS), format_duration(one["seconds"])
        table.add_row(one["stage"], one["name"], one["phase"] or "", epoch, reported, since, where)
    if found["running"]:
        terminal_table.print_fitting_table(console, table, ("epoch", "since", "running", "figures", "phase", "where"))
    for one in found["failed"]:
        console.print(
            f"{(one['kind'] or 'failed').replace('_', ' ')}: {one['stage']} {one['name']}:"
            f" {one['error']}{_format_end(one)}",
            markup=False,
            soft_wrap=True,
        )


def _format_end(failure: Json) -> str:
    return f" ({failure['ended']} on {failure['host']})" if failure["ended"] else ""
