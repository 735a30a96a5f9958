"""`convarium ui`: serve MLflow's page on the store's results, and keep it up to date."""

import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.cli.command_parser import CommandParser
from convarium.cli.interrupts import raise_interrupt
from convarium.errors import StageFailed, UserError
from convarium.pause import compute_pause

if TYPE_CHECKING:
    from convarium.tracking.mlflow_server import MlflowServer
    from convarium.tracking.tracker_sync import TrackerSync

POLL_SECONDS = 3.0


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser(
        "ui", "Serve MLflow's page on what is stored, and keep it up to date until Ctrl-C.", takes_points=True
    )
    parser.add_argument("--uri", help="sqlite:///FILE, postgresql://…, http://…; else a file beside the store")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, default=5000, help="where to listen")
    return parser


def main(argv: Sequence[str]) -> int:
    """Sync, serve MLflow's page and follow the store, until Ctrl-C."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli.sync import build_sync
    from convarium.tracking.mlflow_server import check_port_free
    from convarium.tracking.tracker_connection import is_server_address

    sync = build_sync(options.overrides, options.uri)
    signal.signal(signal.SIGINT, raise_interrupt)  # a shell starts background jobs with Ctrl-C ignored
    try:
        if is_server_address(sync.uri):
            _sync_to_server(sync, sync.uri)
        else:
            check_port_free(options.host, options.port)
            _serve_page(sync, options.host, options.port)
    except KeyboardInterrupt:
        print("the page is closed; what is stored stays", file=sys.stderr)
    return 0


def _serve_page(sync: "TrackerSync", host: str, port: int) -> None:
    """Start a server on the tracker's database, and sync while it runs."""
    from convarium.cli.sync import print_sync_progress
    from convarium.tracking.mlflow_charts import format_view_link
    from convarium.tracking.mlflow_server import MlflowServer

    sync.run(print_sync_progress)
    sync.prepare()
    server = MlflowServer(sync.uri, host, port, sync.artifacts_root, sync.artifacts_root.with_name("mlflow.log"))
    try:
        server.wait_until_ready()
        print(f"MLflow's page: {format_view_link(server.url, sync.tracker.experiment_id)}\nCtrl-C ends it", flush=True)
        _sync_until_end(sync, server)
    finally:
        server.stop()


def _sync_to_server(sync: "TrackerSync", address: str) -> None:
    """Sync to a server that somebody else runs."""
    from convarium.cli.sync import print_sync_progress
    from convarium.tracking.mlflow_charts import format_view_link
    from convarium.tracking.tracker_address import mask_passwords

    sync.run(print_sync_progress)
    link = format_view_link(mask_passwords(address), sync.tracker.experiment_id)
    print(f"MLflow's page: {link}\nCtrl-C ends following the store", flush=True)
    _sync_until_end(sync, None)


def _sync_until_end(sync: "TrackerSync", server: "MlflowServer | None") -> None:
    """Sync whenever results were finished, until the server ends; an error that repeats is printed once."""
    printed_error = ""
    synced_count = sync.count_finished()
    while server is None or server.is_alive():
        time.sleep(POLL_SECONDS)
        count = sync.count_finished()
        if count == synced_count:
            continue
        started = time.monotonic()
        try:
            sync.run()
            synced_count, printed_error = count, ""
        except UserError as error:
            if str(error) != printed_error:
                print(f"convarium: {error}", file=sys.stderr, flush=True)
            printed_error = str(error)
        # A sync of a large store takes long, and what is finished meanwhile waits for the next one.
        time.sleep(compute_pause(time.monotonic() - started))
    raise StageFailed("MLflow's server ended")
