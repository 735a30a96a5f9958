"""`convarium sync`: bring a tracker up to date with the store."""

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
        "sync", "Bring a tracker (MLflow) up to date with the store; twice changes nothing.", takes_points=True
    )
    parser.add_argument("--uri", help="sqlite:///FILE, postgresql://…, http://…; else a file beside the store")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Write what a tracker lacks of the store, or of a command line's points."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli import output
    from convarium.compose.store_access import print_unreadable
    from convarium.tracking.tracker_address import mask_passwords

    with output.redirect_to_stderr():
        sync = build_sync(options.overrides, options.uri)
        sync.store.require()
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
    """Return the sync that a command line asks for: of its points, without points of all that is stored.

    Raises:
        UserError: the tracker's address is invalid.
    """
    from convarium.compose.points import compose_points
    from convarium.compose.store_access import open_store
    from convarium.planning.stage_graph import build_plan
    from convarium.tracking.tracker_address import resolve_tracker_address
    from convarium.tracking.tracker_sync import TrackerSync, build_plan_sync

    is_tracking_typed = any(override.key == "tracking" for override in overrides)
    # With `tracking=none`, the default, a config has no address and no experiment.
    request = compose_points(overrides if is_tracking_typed else ["tracking=mlflow", *overrides])
    store = open_store(request.runtime)
    address = resolve_tracker_address(uri or request.tracking["uri"], store.root)
    experiment = request.tracking["experiment"]
    if not request.selects_points:
        return TrackerSync(store, address, experiment)
    return build_plan_sync(store, address, experiment, build_plan(request.check_points()), request.sweep)


def print_sync_progress(done: int, total: int) -> None:
    """Print to stderr, every hundred runs, how far a sync is."""
    if done and done % PROGRESS_EVERY_RUNS == 0 and total > PROGRESS_EVERY_RUNS:
        print(f"{done} of {total} runs", file=sys.stderr, flush=True)
