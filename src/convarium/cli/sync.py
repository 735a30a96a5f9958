"""`convarium sync`: makes a tracker say what is stored."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.cli.command_parser import CommandParser
from convarium.config.override import Override

if TYPE_CHECKING:
    from convarium.tracking.tracker_sync import TrackerSync

PROGRESS_EVERY_RUNS = 100


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser(
        "sync", "Make a tracker (MLflow) say what is stored; twice changes nothing.", takes_points=True
    )
    parser.add_argument("--uri", help="sqlite:///FILE, postgresql://…, http://…; else a file beside the store")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Write what a tracker lacks of what is stored, or of a command line's points; twice changes nothing."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli import output
    from convarium.compose.store_access import print_unreadable, require_store
    from convarium.tracking.tracker_address import mask_passwords

    with output.redirect_to_stderr():
        sync = build_sync(options.overrides, options.uri)
        require_store(sync.store)
        counts = sync.run(print_sync_progress)
        print_unreadable(sync.store)
    if options.json:
        output.print_json({"uri": mask_passwords(sync.uri), "experiment": sync.experiment, **vars(counts)})
    else:
        deleted = f", {counts.deleted} deleted there" if counts.deleted else ""
        print(
            f"{mask_passwords(sync.uri)}: {counts.added} added, {counts.mended} mended, {counts.same}"
            f" as they were{deleted}"
        )
    return 0


def build_sync(overrides: Sequence[Override], uri: str | None) -> "TrackerSync":
    """Return what a command line asks to be synced; without points, all that is stored.

    Raises:
        UserError: the tracker's address is none.
    """
    from convarium.compose.points import compose_points
    from convarium.compose.store_access import open_store
    from convarium.planning.stage_graph import build_plan
    from convarium.tracking.run_group import RunGroup
    from convarium.tracking.tracker_address import resolve_tracker_address
    from convarium.tracking.tracker_sync import TrackerSync

    is_tracking_typed = any(override.key == "tracking" for override in overrides)
    request = compose_points(overrides if is_tracking_typed else ["tracking=mlflow", *overrides])
    store = open_store(request.runtime)
    address = resolve_tracker_address(uri or request.tracking["uri"], store.root)
    experiment = request.tracking["experiment"]
    if not request.selects_points:
        return TrackerSync(store, address, experiment)
    group = RunGroup(build_plan(request.check_points()), request.sweep)
    if len(group.plan.points) > 1:
        return TrackerSync(store, address, experiment, group)
    # A single point has no parent run, which would only repeat it.
    return TrackerSync(store, address, experiment, None, group.network_signatures)


def print_sync_progress(done: int, total: int) -> None:
    """Say how far a long sync is."""
    if done and done % PROGRESS_EVERY_RUNS == 0 and total > PROGRESS_EVERY_RUNS:
        print(f"{done} of {total} runs", file=sys.stderr, flush=True)
