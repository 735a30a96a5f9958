"""`convarium ui`: MLflow's page on what is stored, kept up to date while it is open."""

import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.cli.command_parser import CommandParser
from convarium.cli.interrupts import raise_interrupt
from convarium.errors import StageFailed, UserError

if TYPE_CHECKING:
    from convarium.tracking.mlflow_server import MlflowServer
    from convarium.tracking.tracker_sync import TrackerSync

PAUSE_SECONDS, REST_FACTOR = 3.0, 20.0


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser(
        "ui", "MLflow's page on what is stored, kept up to date while it is open.", takes_points=True
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
    signal.signal(signal.SIGINT, raise_interrupt)  # which a shell's background job ignores
    try:
        if is_server_address(sync.uri):
            _follow_existing_server(sync, sync.uri)
        else:
            check_port_free(options.host, options.port)
            _serve_page(sync, options.host, options.port)
    except KeyboardInterrupt:
        print("the page is closed; what is stored stays", file=sys.stderr)
    return 0


def _serve_page(sync: "TrackerSync", host: str, port: int) -> None:
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


def _follow_existing_server(sync: "TrackerSync", address: str) -> None:
    from convarium.cli.sync import print_sync_progress
    from convarium.tracking.mlflow_charts import format_view_link
    from convarium.tracking.tracker_address import mask_passwords

    sync.run(print_sync_progress)
    place = format_view_link(mask_passwords(address), sync.tracker.experiment_id)
    print(f"MLflow's page: {place}\nCtrl-C ends following the store", flush=True)
    _sync_until_end(sync, None)


def _sync_until_end(sync: "TrackerSync", server: "MlflowServer | None") -> None:
    """Write what gets done, until the server ends; trouble is told once."""
    told, done = "", sync.count_finished()
    while server is None or server.is_alive():
        time.sleep(PAUSE_SECONDS)
        if (found := sync.count_finished()) != done:
            clock = time.monotonic()
            try:
                sync.run()
                done, told = found, ""
            except UserError as error:
                if str(error) != told:
                    print(f"convarium: {error}", file=sys.stderr, flush=True)
                told = str(error)
            time.sleep(min(REST_FACTOR * (time.monotonic() - clock), 60.0))
    raise StageFailed("MLflow's server ended")
