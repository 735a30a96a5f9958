"""`convarium status [NAME]`: how far a sweep is, what runs where, what failed, seen from outside."""

import sys
import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.cli.failure_words import format_state
from convarium.cli.job_table import print_jobs, summarise_jobs
from convarium.errors import UserError
from convarium.noun_count import format_noun_count
from convarium.store.result_folder import ResultFolder

if TYPE_CHECKING:
    from convarium.planning.plan import Node, Plan, PlannedPoint
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
    """Print points done, time left, a line for each running stage, and the failures that are not mended yet.

    Without points it shows all runs that are going on in the store.
    """
    options = build_parser().parse_overrides([f"sweep={text}" if _is_sweep_name(text) else text for text in argv])
    from convarium.cli import output
    from convarium.compose.points import compose_points
    from convarium.compose.store_access import open_store, print_unreadable, require_store
    from convarium.planning.stage_graph import build_plan
    from convarium.store.disk import pause_gc

    with output.redirect_to_stderr(), pause_gc():
        request = compose_points(options.overrides)
        store = open_store(request.runtime)
        if request.selects_points:
            plan = build_plan(request.points)
        else:
            plan = merge_running_plans(require_store(store, read_only=True))
        status = summarise_status(plan, store)
        selected_goals = plan.goal_signatures if request.selects_points else None
        status |= summarise_jobs(store, selected_goals)
        if not request.selects_points:
            status["searches"] = list_living_searches(store)
        print_unreadable(store)
    if options.json:
        output.print_json(status)
    elif not status["points"] and not status.get("searches"):
        print(f"nothing runs in {store.root}")
    else:
        _print_status(status)
    return 0


def merge_running_plans(store: "Store") -> "Plan":
    """Return one plan of all runs that are going on in the store, as far as their plans can be read."""
    from convarium.planning.plan import Plan
    from convarium.store.disk import format_error
    from convarium.workers.stored_runs import find_living_runs, read_run_plan

    nodes: dict[str, Node] = {}
    points: dict[tuple[str, ...], PlannedPoint] = {}
    for folder, run in find_living_runs(store):
        try:
            plan = read_run_plan(folder, run)
        except (UserError, OSError) as error:
            print(f"convarium: {format_error(error)}; what this run asks for is not known", file=sys.stderr)
            continue
        nodes |= plan.nodes
        # Several runs may ask for the same point.
        points |= {(point.network, *point.figure_signatures): point for point in plan.points}
    return Plan(nodes, tuple(points.values()))


def list_living_searches(store: "Store") -> list[Json]:
    """Return the searches that go on in the store, as far as their files can be read."""
    from convarium.search.stored_searches import list_search_folders, read_living_search
    from convarium.store.disk import format_error

    searches = []
    try:
        folders = list_search_folders(store)
    except OSError as error:
        print(f"convarium: {format_error(error)}; which searches go on, is not known", file=sys.stderr)
        return []
    for folder in folders:
        try:
            search = read_living_search(folder)
        except (UserError, OSError) as error:
            print(f"convarium: {format_error(error)}; how far its search is, is not known", file=sys.stderr)
            continue
        if search is not None:
            searches.append(vars(search))
    return searches


def _is_sweep_name(text: str) -> bool:
    return "=" not in text and not text.startswith(("-", "~"))


def summarise_status(plan: "Plan", store: "Store") -> Json:
    """Return counts of points and stages, the seconds left at the present number of workers, what runs, what failed."""
    from convarium.planning.duration_estimate import estimate_plan_seconds
    from convarium.workers.ready_nodes import PlanMonitor

    plan_state = PlanMonitor(plan).read_state(store, "")
    needed = plan.select_needed(plan_state.done)
    open_signatures = needed - plan_state.blocked - plan_state.failed.keys()
    open_nodes = [node for signature, node in plan.nodes.items() if signature in open_signatures]
    running_stages = [_describe_running(node, store) for node in open_nodes]
    running = [stage for stage in running_stages if stage is not None]
    failures = [_describe_failure(node, store) for signature, node in plan.nodes.items() if signature in needed]
    workers = max(1, len(running))
    spent_seconds = {stage["signature"]: stage["seconds"] for stage in running}
    return {
        "points": len(plan.points),
        "done": sum(plan_state.done.issuperset(point.figure_signatures) for point in plan.points),
        "stages_left": len(open_nodes),
        "seconds_left": ceil(estimate_plan_seconds(plan, store, open_nodes, workers, spent_seconds)),
        "running": running,
        "failed": sorted(filter(None, failures), key=lambda failure: str(failure["ended"])),
    }


def _describe_running(node: "Node", store: "Store") -> Json | None:
    """Return what a stage is doing; None where it has no living owner."""
    from convarium.store import curves
    from convarium.workers.lease import LeaseManager

    folder = store.folder_of(node)
    lease_info = LeaseManager("").read(folder)
    if lease_info is None or lease_info.state != "alive":
        return None
    report = curves.read_last_report(ResultFolder(folder).curves)
    return {
        "signature": node.signature,
        "stage": node.stage,
        "name": node.name,
        "host": lease_info.owner.host if lease_info.owner else "",
        "pid": lease_info.owner.pid if lease_info.owner else 0,
        "seconds": _measure_age_seconds(ResultFolder(folder).work_folder(lease_info.number)),
        # Whether an owner on another host lives can't be seen: the reader judges by its last heartbeat.
        "beat_seconds_ago": _measure_age_seconds(folder / f"lease.{lease_info.number}"),
        **{key: report.get(key) for key in ("phase", "epoch", "epochs", "loss", "validation_accuracy")},
    }


def _measure_age_seconds(path: Path) -> int:
    try:
        return round(max(0.0, time.time() - path.stat().st_mtime))
    except OSError:
        return 0


def _describe_failure(node: "Node", store: "Store") -> Json | None:
    failure = store.find_failure(node.signature)
    if not failure:
        return None
    return {
        "signature": node.signature,
        "stage": node.stage,
        "name": node.name,
        "kind": failure.get("kind"),
        "cause": failure.get("cause"),
        "error": failure["error"],
        "ended": failure.get("ended", ""),
        "host": failure.get("host"),
        "log": ResultFolder(store.folder_of(node)).find_log(),
    }


def _print_status(status: Json) -> None:
    from rich.table import Column, Table

    from convarium import terminal_table
    from convarium.cli import output
    from convarium.workers.lease import LEASE_TIMEOUT_SECONDS
    from convarium.workers.progress import format_duration, format_report, format_time_left

    console = output.build_console()
    for search in status.get("searches", ()):
        trials = f"{search['told']} of {format_noun_count(search['asked'], 'trial')} told"
        console.print(f"search {search['signature']}: {trials} ({search['host']} {search['pid']})")
    line = f"{status['done']} of {format_noun_count(status['points'], 'point')} done"
    if status["stages_left"]:
        stages = format_noun_count(status["stages_left"], "stage")
        line += f", {stages} left, {format_time_left(status['seconds_left'])}"
    console.print(line)
    name, figures = Column("name", overflow="fold"), Column("figures", overflow="fold")
    table = Table("running", name, "phase", "epoch", figures, "since", "where", box=None)
    for stage in status["running"]:
        is_silent = stage["beat_seconds_ago"] > LEASE_TIMEOUT_SECONDS
        table.add_row(
            stage["stage"],
            stage["name"],
            *format_report(stage["stage"], stage),
            format_duration(stage["seconds"]),
            f"{stage['host']} {stage['pid']}" + (", silent" if is_silent else ""),
        )
    if status["running"]:
        terminal_table.print_fitting_table(console, table, ("epoch", "since", "running", "figures", "phase", "where"))
    print_jobs(status, console)
    for failure in status["failed"]:
        state = format_state((failure["kind"] or "failed").replace("_", " "), failure["cause"])
        line = f"{state}: {failure['stage']} {failure['name']}: {failure['error']}"
        if failure["ended"]:
            line += f" ({failure['ended']} on {failure['host']})"
        if failure["log"]:
            line += f"; its log: {failure['log']}"
        console.print(line, markup=False, soft_wrap=True)
