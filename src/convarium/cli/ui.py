"""`convarium ui`: MLflow's page on what is stored, kept up to date while it is open."""

import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.cli.arguments import Arguments
from convarium.cli.interrupts import interrupt
from convarium.errors import StageFailed, UserError

if TYPE_CHECKING:
    from convarium.tracking.server import Server
    from convarium.tracking.sync import Sync

PAUSE_SECONDS, REST = 3.0, 20.0


def main(argv: Sequence[str]) -> int:
    """Sync, serve MLflow's page and follow the store, until Ctrl-C."""
    parser = Arguments("ui", "MLflow's page on what is stored, kept up to date while it is open.", points=True)
    parser.add_argument("--uri", help="sqlite:///FILE, postgresql://…, http://…; else a file beside the store")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, default=5000, help="where to listen")
    options = parser.read(argv)
    from convarium.cli.sync import of
    from convarium.tracking.reach import is_server
    from convarium.tracking.server import free

    sync = of(options.overrides, options.uri)
    signal.signal(signal.SIGINT, interrupt)  # which a shell's background job ignores
    try:
        if is_server(sync.uri):
            _shown(sync, sync.uri)
        else:
            free(options.host, options.port)
            _served(sync, options.host, options.port)
    except KeyboardInterrupt:
        print("the page is closed; what is stored stays", file=sys.stderr)
    return 0


def _served(sync: "Sync", host: str, port: int) -> None:
    from convarium.cli.sync import tell
    from convarium.tracking.page import link
    from convarium.tracking.server import Server

    sync.run(tell)
    sync.prepare()
    server = Server(sync.uri, host, port, sync.files, sync.files.with_name("mlflow.log"))
    try:
        server.wait()
        print(f"MLflow's page: {link(server.address, sync.tracker.experiment)}\nCtrl-C ends it", flush=True)
        _follow(sync, server)
    finally:
        server.stop()


def _shown(sync: "Sync", address: str) -> None:
    from convarium.cli.sync import tell
    from convarium.tracking.address import masked
    from convarium.tracking.page import link

    sync.run(tell)
    place = link(masked(address), sync.tracker.experiment)
    print(f"MLflow's page: {place}\nCtrl-C ends following the store", flush=True)
    _follow(sync, None)


def _follow(sync: "Sync", server: "Server | None") -> None:
    """Write what gets done, until the server ends; trouble is told once."""
    told, done = "", sync.finished()
    while server is None or server.lives():
        time.sleep(PAUSE_SECONDS)
        if (found := sync.finished()) != done:
            clock = time.monotonic()
            try:
                sync.run()
                done, told = found, ""
            except UserError as error:
                if str(error) != told:
                    print(f"convarium: {error}", file=sys.stderr, flush=True)
                told = str(error)
            time.sleep(min(REST * (time.monotonic() - clock), 60.0))
    raise StageFailed("MLflow's server ended")
