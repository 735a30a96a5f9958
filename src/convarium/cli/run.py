"""`convarium run`: everything the points ask for that is not stored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser

if TYPE_CHECKING:
    from convarium.compose.points import PointRequest
    from convarium.planning.plan import Plan, PlannedPoint
    from convarium.store.store import Store
    from convarium.workers.controller import NodeStatus

Launch = Callable[[list[list[str]]], None]
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
    parser.add_argument("--retry", choices=["failed", "void"], help="first forget remembered failures, or void times")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the points of a command line; exit code 1 if one failed, 2 if what failed is the user's to mend."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli import output
    from convarium.cli.dataset_summary import summarise_datasets
    from convarium.compose.points import compose_points

    with output.redirect_to_stderr():
        asked = compose_points(options.overrides)
        if options.retry and not options.cfg:
            _forget_results(options.retry, asked)
        if not options.cfg:
            datasets = summarise_datasets(asked.points)
            runs, code = run_points(asked, options.json)
    if options.cfg:
        return _print_configs(asked)
    output.print_json({"datasets": datasets, "runs": runs}) if options.json else print_runs(runs)
    return code


def _forget_results(kind: str, asked: "PointRequest") -> None:
    import sys

    from convarium.compose.store_access import open_store
    from convarium.planning.stage_graph import build_plan
    from convarium.workers.retry import remove_for_retry

    forgotten = remove_for_retry(kind, build_plan(asked.check_points()), open_store(asked.runtime))
    print(f"--retry {kind}: {forgotten} forgotten", file=sys.stderr)


def _print_configs(asked: "PointRequest") -> int:
    import yaml

    for point in asked.check_points():
        print(f"# convarium run {' '.join(point.overrides)}")
        print(yaml.safe_dump(point.config, sort_keys=False, allow_unicode=True), end="")
    return 0


def run_points(asked: "PointRequest", quiet: bool) -> tuple[list[dict[str, Any]], int]:
    """Make what is missing; with nothing missing, neither validate on the meta device nor launch.

    Returns the runs as JSON, and the exit code.
    """
    asked = replace(asked, points=asked.check_points(), invalid=())
    from convarium.cli import output
    from convarium.cli.below_chance import find_below_chance
    from convarium.cli.dataset_summary import print_dataset_summaries, summarise_datasets
    from convarium.cli.skipped_files import format_skipped_files
    from convarium.compose.store_access import count_workers, open_store
    from convarium.planning.stage_graph import build_plan
    from convarium.tracking.live_sync import sync_during_run
    from convarium.workers.controller import run_plan
    from convarium.workers.progress import build_progress_display

    graph, store = build_plan(asked.points), open_store(asked.runtime)
    workers = 1 if "hydra/launcher=basic" in asked.launcher_overrides else count_workers(asked.runtime)
    launch: Launch = _launch_nothing
    if len(store.select_finished(graph.nodes)) < len(graph.nodes):
        from convarium.cli.network_validation import validate_networks

        graph = build_plan(validate_networks(asked).check_points())
        launch = asked.composer.build_launcher(asked.launcher_overrides, store.root.resolve(), workers)
    print_dataset_summaries(summarise_datasets(asked.points))
    with sync_during_run(asked.tracking, graph, store, asked.sweep):
        statuses = run_plan(graph, store, launch, workers, build_progress_display(quiet))
    for line in [*format_skipped_files(graph, store), *find_below_chance(graph, store)]:
        output.build_console(to_stderr=True).print(line, markup=False)
    return [_describe_run(point, graph, store, statuses) for point in graph.points], _choose_exit_code(
        statuses.values(), len(graph.points)
    )


def _choose_exit_code(statuses: Iterable["NodeStatus"], points: int) -> int:
    """Return 1 if something failed while running, 2 if only mistakes of the user's did, 0 if all is done.

    In a sweep, what can't be reached or is not installed is a row of the table, no failure.
    """
    open_ones = [status for status in statuses if status.state != "done" and (points == 1 or status.kind is None)]
    mistakes = [status.mistake for status in open_ones]
    return 0 if not mistakes else 2 if all(mistakes) else 1


def _launch_nothing(jobs: list[list[str]]) -> None:
    """Launch no worker: all is stored."""


def _describe_run(
    point: "PlannedPoint", graph: "Plan", store: "Store", statuses: Mapping[str, "NodeStatus"]
) -> dict[str, Any]:
    from convarium.comparison.timings import read_point_timings

    metrics = dict.fromkeys(RUN_METRICS)
    for end in (point.measure, *point.times[:1]):
        metrics |= {key: value for key, value in _read_metrics(store, end).items() if key in metrics}
    path = store.find_folder(point.network)
    status, error = _find_run_status(
        [*_list_ancestors(point.network, graph), point.network, *point.figure_signatures], point, statuses
    )
    return {
        "signature": point.network,
        "path": str(path) if path else None,
        "overrides": list(point.overrides),
        "seed": point.config["seed"],
        "status": status,
        "error": error,
        "metrics": metrics,
        "timings": [timing.to_json(metrics) for timing in read_point_timings(point, store)],
    }


def _find_run_status(
    chain: Sequence[str], point: "PlannedPoint", statuses: Mapping[str, "NodeStatus"]
) -> tuple[str, str | None]:
    """Return done, failed (the point's own network or figures), blocked (something before it), or a kind, and why."""
    for signature in chain:
        status = statuses[signature]
        if status.state in ("failed", "unfinished"):
            own = signature in (point.network, *point.figure_signatures)
            return (status.kind or ("failed" if own else "blocked")).replace("_", " "), status.error
    return "done", None


def _list_ancestors(signature: str, graph: "Plan") -> list[str]:
    parents = graph.nodes[signature].parents
    return [ancestor for parent in parents for ancestor in (*_list_ancestors(parent, graph), parent)]


def _read_metrics(store: "Store", signature: str) -> dict[str, Any]:
    """Return a stored stage's figures; a latency that is void is none."""
    done = store.find_record(signature)
    metrics: dict[str, Any] = done["result"]["metrics"] if done and not done["result"].get("void") else {}
    return metrics


def print_runs(runs: list[dict[str, Any]]) -> None:
    """Print the table of runs on stdout, what failed on stderr."""
    from rich.markup import escape
    from rich.table import Column, Table

    from convarium import terminal_table
    from convarium.cli import output

    named = (Column(name, overflow="fold") for name in ("status", "overrides"))
    table = Table("signature", next(named), "accuracy", "bytes", "ratio", next(named), box=None)
    for one in runs:
        metrics = one["metrics"]
        figures = [
            _format_figure(metrics[key], form)
            for key, form in (("accuracy", ".4f"), ("file_bytes", ","), ("ratio", ".1f"))
        ]
        table.add_row(one["signature"], one["status"], *figures, escape(" ".join(one["overrides"])) or "the defaults")
    terminal_table.print_fitting_table(output.build_console(), table, ("accuracy", "bytes", "ratio", "status"))
    for one in runs:
        if one["error"]:
            output.build_console(to_stderr=True).print(f"{one['status']}: {one['error']}", markup=False)


def _format_figure(value: float | None, format_spec: str) -> str:
    return "" if value is None else format(value, format_spec)
