"""`convarium cancel POINTS` or `convarium cancel RUN`: end a run whose workers are a scheduler's jobs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.cli.command_parser import CommandParser, parse_overrides
from convarium.config.paths import parse_path
from convarium.errors import UserError
from convarium.noun_count import format_noun_count

if TYPE_CHECKING:
    from convarium.config.override import Override
    from convarium.planning.plan import Plan
    from convarium.store.store import Store
    from convarium.workers.run_cancel import CancelledRun
    from convarium.workers.run_file import Run

WHICH_RUN = "which run? give the points that it makes, as for convarium run, or its folder, STORE/runs/…"


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("cancel", "End a run on a scheduler: its jobs leave, what is done stays.", takes_points=True)
    parser.usage = "convarium cancel NAME | key=value ... | RUN [options]"
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """End the run that makes the points of a command line, or whose folder is named."""
    parser = build_parser()
    options = parser.parse_intermixed_args(argv)
    texts: list[str] = options.overrides
    if not texts:
        raise UserError(f"{parser.prog}: {WHICH_RUN}")
    from convarium.cli import output
    from convarium.workers.run_cancel import cancel_run

    with output.redirect_to_stderr():
        run = _find_named_run(texts) if _is_run_path(texts[0]) else _find_run_of_points(texts)
        cancelled = cancel_run(run)
    if options.json:
        output.print_json({"run": run.id, "cancelled_jobs": list(cancelled.cancelled_jobs)})
    else:
        _print_cancelled(cancelled)
    return 0


def _is_run_path(text: str) -> bool:
    """Whether a word names a run's folder, be it there or not, and no sweep."""
    from convarium.workers.run_folder import RUN_FILE

    path = parse_path(text)
    return "=" not in text and (path.is_absolute() or path.name == RUN_FILE or path.absolute().parent.name == "runs")


def _find_named_run(texts: Sequence[str]) -> "Run":
    from convarium.cli.work import find_run

    if len(texts) > 1:
        raise UserError(f"{texts[1]}: convarium cancel takes one run's folder and nothing else beside it")
    run = find_run(texts[0])
    if run is None:
        raise UserError(f"{texts[0]}: the run is over")
    return run


def _find_run_of_points(texts: Sequence[str]) -> "Run":
    """Return the run that goes on and makes the points of a command line.

    Raises:
        UserError: no points were typed, one can't be made, or no run makes just them.
    """
    from convarium.cli.network_validation import validate_networks
    from convarium.compose.points import compose_points
    from convarium.compose.store_access import open_store, require_store
    from convarium.planning.stage_graph import build_plan

    request = compose_points(_parse_points(texts))
    if not request.selects_points:
        raise UserError(f"convarium cancel: {WHICH_RUN}")
    store = require_store(open_store(request.runtime), read_only=True)
    run = find_run_of_plan(build_plan(validate_networks(request).check_points()), store)
    if run is None:
        raise UserError(
            f"no run that makes just these points goes on in {store.root}; convarium status shows what does"
        )
    return run


def _parse_points(texts: Sequence[str]) -> "list[Override]":
    return parse_overrides([text if "=" in text or text.startswith("~") else f"sweep={text}" for text in texts])


def find_run_of_plan(plan: "Plan", store: "Store") -> "Run | None":
    """Return the run of a store that goes on and makes what a plan asks for, one of a scheduler before others."""
    from convarium.workers.run_claim import find_owner_folder, read_named_run
    from convarium.workers.stored_runs import find_living_runs, read_run_plan

    root = store.root.resolve()
    owned_run = read_named_run(root, find_owner_folder(plan, root))
    living_runs = [(folder, run) for folder, run in find_living_runs(store) if run is not None]
    if owned_run is not None and owned_run.id in [run.id for _, run in living_runs]:
        return owned_run
    for folder, run in living_runs:
        if run.owner is None and read_run_plan(folder, run).goal_signatures == plan.goal_signatures:
            return run
    return None


def _print_cancelled(cancelled: "CancelledRun") -> None:
    from convarium.cli.detached_points import format_job_ids

    print(f"the run {cancelled.run.id} is over; what is done is stored")
    for jobs, what in ((cancelled.cancelled_jobs, "cancelled"), (cancelled.leaving_jobs, "leaving at the next check")):
        if jobs:
            print(f"{format_noun_count(len(jobs), 'job')} {what}: {format_job_ids(jobs)}")
