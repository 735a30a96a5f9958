"""`convarium run`: everything the points ask for that is not stored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments

if TYPE_CHECKING:
    from convarium.cli.points import Asked
    from convarium.store.controller import Status
    from convarium.store.plan import Plan, PlannedPoint
    from convarium.store.store import Store

Launch = Callable[[list[list[str]]], None]
METRICS = (
    "accuracy", "validation_accuracy", "balanced_accuracy", "validation_balanced_accuracy", "loss", "file_bytes",
    "dense_bytes", "ratio", "xz_bytes", "parameters", "nonzeros", "macs", "latency_ms", "speedup",
    "peak_memory_bytes",
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Run the points of a command line; exit code 1 if one failed, 2 if what failed is the user's to mend."""
    parser = Arguments("run", "Train, compress and measure every point that is not stored yet.", points=True)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--cfg", choices=["job"], help="print the composed config of each point, run nothing")
    parser.add_argument("--retry", choices=["failed", "void"], help="first forget remembered failures, or void times")
    options = parser.read(argv)
    from convarium.cli import output
    from convarium.cli.found import find_datasets
    from convarium.cli.points import ask

    with output.aside():
        asked = ask(options.overrides)
        if options.retry and not options.cfg:
            _forget(options.retry, asked)
        if not options.cfg:
            datasets = find_datasets(asked.points)
            runs, code = answer(asked, options.json)
    if options.cfg:
        return _print_configs(asked)
    output.document({"datasets": datasets, "runs": runs}) if options.json else show(runs)
    return code


def _forget(kind: str, asked: "Asked") -> None:
    import sys

    from convarium.cli.stored import store_of
    from convarium.stages.graph import plan
    from convarium.store.retry import retry

    forgotten = retry(kind, plan(asked.accepted()), store_of(asked.runtime))
    print(f"--retry {kind}: {forgotten} forgotten", file=sys.stderr)


def _print_configs(asked: "Asked") -> int:
    import yaml

    for point in asked.accepted():
        print(f"# convarium run {' '.join(point.overrides)}")
        print(yaml.safe_dump(point.config, sort_keys=False, allow_unicode=True), end="")
    return 0


def answer(asked: "Asked", quiet: bool) -> tuple[list[dict[str, Any]], int]:
    """Make what is missing; with nothing missing, neither validate on the meta device nor launch.

    Returns the runs as JSON, and the exit code.
    """
    asked = replace(asked, points=asked.accepted(), invalid=())
    from convarium.cli import output
    from convarium.cli.below_chance import find_below_chance
    from convarium.cli.found import find_datasets, print_datasets
    from convarium.cli.skipped import skipped
    from convarium.cli.stored import store_of, workers_of
    from convarium.stages.graph import plan
    from convarium.store.controller import run
    from convarium.store.progress import progress
    from convarium.tracking.follow import followed

    graph, store = plan(asked.points), store_of(asked.runtime)
    workers = 1 if "hydra/launcher=basic" in asked.launcher else workers_of(asked.runtime)
    launch: Launch = _nothing
    if len(store.finished(graph.nodes)) < len(graph.nodes):
        from convarium.cli.validation import validated

        graph = plan(validated(asked).accepted())
        launch = asked.composer.launcher(asked.launcher, store.root.resolve(), workers)
    print_datasets(find_datasets(asked.points))
    with followed(asked.tracking, graph, store, asked.sweep):
        statuses = run(graph, store, launch, workers, progress(quiet))
    for line in [*skipped(graph, store), *find_below_chance(graph, store)]:
        output.console(error=True).print(line, markup=False)
    return [_described(point, graph, store, statuses) for point in graph.points], _code(
        statuses.values(), len(graph.points)
    )


def _code(statuses: Iterable["Status"], points: int) -> int:
    """Return 1 if something failed while running, 2 if only mistakes of the user's did, 0 if all is done.

    In a sweep, what can't be reached or is not installed is a row of the table, no failure.
    """
    open_ones = [status for status in statuses if status.state != "done" and (points == 1 or status.kind is None)]
    mistakes = [status.mistake for status in open_ones]
    return 0 if not mistakes else 2 if all(mistakes) else 1


def _nothing(jobs: list[list[str]]) -> None:
    """Launch no worker: all is stored."""


def _described(
    point: "PlannedPoint", graph: "Plan", store: "Store", statuses: Mapping[str, "Status"]
) -> dict[str, Any]:
    from convarium.comparison.timings import asked

    metrics = dict.fromkeys(METRICS)
    for end in (point.measure, *point.times[:1]):
        metrics |= {key: value for key, value in _metrics(store, end).items() if key in metrics}
    path = store.path(point.network)
    status, error = _status([*_ancestors(point.network, graph), point.network, *point.ends], point, statuses)
    return {
        "signature": point.network,
        "path": str(path) if path else None,
        "overrides": list(point.overrides),
        "seed": point.config["seed"],
        "status": status,
        "error": error,
        "metrics": metrics,
        "timings": [timing.shown(metrics) for timing in asked(point, store)],
    }


def _status(chain: Sequence[str], point: "PlannedPoint", statuses: Mapping[str, "Status"]) -> tuple[str, str | None]:
    """Return done, failed (the point's own network or figures), blocked (something before it), or a kind, and why."""
    for signature in chain:
        status = statuses[signature]
        if status.state in ("failed", "unfinished"):
            own = signature in (point.network, *point.ends)
            return (status.kind or ("failed" if own else "blocked")).replace("_", " "), status.error
    return "done", None


def _ancestors(signature: str, graph: "Plan") -> list[str]:
    parents = graph.nodes[signature].parents
    return [ancestor for parent in parents for ancestor in (*_ancestors(parent, graph), parent)]


def _metrics(store: "Store", signature: str) -> dict[str, Any]:
    """Return a stored stage's figures; a latency that is void is none."""
    done = store.done(signature)
    metrics: dict[str, Any] = done["result"]["metrics"] if done and not done["result"].get("void") else {}
    return metrics


def show(runs: list[dict[str, Any]]) -> None:
    """Print the table of runs on stdout, what failed on stderr."""
    from rich.markup import escape
    from rich.table import Column, Table

    from convarium import columns
    from convarium.cli import output

    named = (Column(name, overflow="fold") for name in ("status", "overrides"))
    table = Table("signature", next(named), "accuracy", "bytes", "ratio", next(named), box=None)
    for one in runs:
        metrics = one["metrics"]
        figures = [
            _figure(metrics[key], form) for key, form in (("accuracy", ".4f"), ("file_bytes", ","), ("ratio", ".1f"))
        ]
        table.add_row(one["signature"], one["status"], *figures, escape(" ".join(one["overrides"])) or "the defaults")
    columns.show(output.console(), table, ("accuracy", "bytes", "ratio", "status"))
    for one in runs:
        if one["error"]:
            output.console(error=True).print(f"{one['status']}: {one['error']}", markup=False)


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
