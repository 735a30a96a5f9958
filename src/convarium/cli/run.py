"""`convarium run`: everything the points ask for that is not stored."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser

if TYPE_CHECKING:
    from argparse import Namespace

    from convarium.compose.points import PointRequest
    from convarium.planning.plan import Plan, PlannedPoint
    from convarium.store.store import Store
    from convarium.workers.node_status import NodeStatus

RUN_METRICS = (
    "accuracy", "validation_accuracy", "balanced_accuracy", "validation_balanced_accuracy", "loss", "file_bytes",
    "dense_bytes", "ratio", "xz_bytes", "parameters", "nonzeros", "macs", "latency_ms", "speedup",
    "peak_memory_bytes",
)  # fmt: skip


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("run", "Train, compress and measure every point that is not stored yet.", takes_points=True)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--cfg", choices=["job"], help="print the composed config of each point, run nothing")
    parser.add_argument(
        "--detach", action="store_true", help="have a scheduler's jobs submitted, print their ids, and return"
    )
    parser.add_argument("--retry", choices=["failed", "void"], help="first forget remembered failures, or void times")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the points of a command line; exit code 1 if one failed, 2 if what failed is the user's to mend."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli import output
    from convarium.compose.points import compose_points

    with output.redirect_to_stderr():
        request = compose_points(options.overrides)
    if options.cfg:
        return _print_configs(request)
    return _detach(request, options) if options.detach else _run(request, options)


def _run(request: "PointRequest", options: "Namespace") -> int:
    from convarium.cli import output
    from convarium.cli.dataset_summary import summarise_datasets
    from convarium.cli.run_table import print_runs

    with output.redirect_to_stderr():
        if options.retry:
            _forget_results(options.retry, request)
        datasets = summarise_datasets(request.points)
        runs, code = run_points(request, options.json)
    if options.json:
        output.print_json({"datasets": datasets, "runs": runs})
        return code
    print_runs(runs)
    if len(runs) > 1:
        print(f"to compare them: {shlex.join(['convarium', 'compare', *options.overrides])}")
    return code


def _detach(request: "PointRequest", options: "Namespace") -> int:
    from convarium.cli import output
    from convarium.cli.detached_points import check_launcher_outlives, detach_points, print_detached

    with output.redirect_to_stderr():
        check_launcher_outlives(request)
        if options.retry:
            _forget_results(options.retry, request)
        points = detach_points(request)
    print_detached(points, options.overrides, options.json)
    return 0


def _forget_results(kind: str, request: "PointRequest") -> None:
    import sys

    from convarium.compose.store_access import open_store
    from convarium.planning.stage_graph import build_plan
    from convarium.workers.retry import remove_for_retry

    plan, store = build_plan(request.check_points()), open_store(request.runtime)
    count = remove_for_retry(kind, plan, store)
    print(f"--retry {kind}: {count} forgotten", file=sys.stderr)


def _print_configs(request: "PointRequest") -> int:
    import yaml

    for point in request.check_points():
        print(f"# convarium run {' '.join(point.overrides)}")
        print(yaml.safe_dump(point.config, sort_keys=False, allow_unicode=True), end="")
    return 0


def run_points(request: "PointRequest", quiet: bool) -> tuple[list[dict[str, Any]], int]:
    """Make the results that are missing; return the runs as JSON, and the exit code.

    Where nothing is missing, no network is built on the meta device, and nothing is launched.
    """
    from convarium.cli import output
    from convarium.cli.below_chance import find_below_chance
    from convarium.cli.dataset_summary import print_dataset_summaries, summarise_datasets
    from convarium.cli.prepared_run import prepare_run
    from convarium.cli.skipped_files import format_skipped_files
    from convarium.tracking.live_sync import sync_during_run
    from convarium.workers.controller import run_plan
    from convarium.workers.progress import build_progress_display

    prepared = prepare_run(request)
    plan, store = prepared.plan, prepared.store
    print_dataset_summaries(summarise_datasets(request.check_points()))
    with sync_during_run(request.tracking, plan, store, request.sweep):
        statuses = run_plan(
            plan,
            store,
            prepared.build_backend,
            prepared.workers,
            build_progress_display(quiet),
            prepared.threads,
            prepared.devices,
            prepared.idle_minutes,
            prepared.scheduler,
            prepared.has_lasting_workers,
        )
    for line in [*format_skipped_files(plan, store), *find_below_chance(plan, store)]:
        output.build_console(to_stderr=True).print(line, markup=False)
    runs = [_describe_run(point, plan, store, statuses) for point in plan.points]
    return runs, _choose_exit_code(statuses.values(), len(plan.points))


def _choose_exit_code(statuses: Iterable["NodeStatus"], point_count: int) -> int:
    """Return 1 if something failed while running, 2 if all failures are the user's to mend, 0 if all is done.

    In a sweep, what can't be reached, is not installed or found no worker is a row of the table and not a failure.
    """
    failures = [status for status in statuses if status.state != "done" and (point_count == 1 or status.kind is None)]
    if not failures:
        return 0
    return 2 if all(failure.mistake for failure in failures) else 1


def _describe_run(
    point: "PlannedPoint", plan: "Plan", store: "Store", statuses: Mapping[str, "NodeStatus"]
) -> dict[str, Any]:
    from convarium.comparison.timings import read_point_timings

    metrics = dict.fromkeys(RUN_METRICS)
    for signature in (point.measure, *point.times[:1]):
        metrics |= {key: value for key, value in _read_metrics(store, signature).items() if key in metrics}
    path = store.find_folder(point.network)
    signatures = [*_list_ancestors(point.network, plan), point.network, *point.figure_signatures]
    status, failed = _find_run_status(signatures, point, statuses)
    return {
        "signature": point.network,
        "path": str(path) if path else None,
        "overrides": list(point.overrides),
        "seed": point.config["seed"],
        "status": status,
        "error": failed and failed.error,
        "cause": failed and failed.cause,
        "metrics": metrics,
        "timings": [timing.to_json(metrics) for timing in read_point_timings(point, store)],
    }


def _find_run_status(
    signatures: Sequence[str], point: "PlannedPoint", statuses: Mapping[str, "NodeStatus"]
) -> tuple[str, "NodeStatus | None"]:
    """Return the status of a point, and that of the stage that is the reason for it.

    It is done, failed (the point's network or a figure of it), blocked (by a stage before), or the kind of a failure.

    Args:
        signatures: of all that the point needs, in the order in which it is made.
    """
    for signature in signatures:
        status = statuses[signature]
        if status.state in ("failed", "unfinished"):
            is_of_point = signature in (point.network, *point.figure_signatures)
            state = status.kind or ("failed" if is_of_point else "blocked")
            return state.replace("_", " "), status
    return "done", None


def _list_ancestors(signature: str, plan: "Plan") -> list[str]:
    ancestors = []
    for parent in plan.nodes[signature].parents:
        ancestors += [*_list_ancestors(parent, plan), parent]
    return ancestors


def _read_metrics(store: "Store", signature: str) -> dict[str, Any]:
    """Return the figures of a stored stage; none of a void latency."""
    record = store.find_record(signature)
    if record is None or record["result"].get("void"):
        return {}
    metrics: dict[str, Any] = record["result"]["metrics"]
    return metrics
