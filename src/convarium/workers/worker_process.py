"""The process that a worker works in: its place on the host, what ends it, and what becomes of its errors."""

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from convarium.child_process import complete_import_path
from convarium.errors import UserError
from convarium.host.process import Process, current_process, is_on_this_host, is_process_alive
from convarium.robust_streams import install_robust_streams
from convarium.workers.failure import FailureNotRecorded, format_error_line
from convarium.workers.places import WorkerPlace, describe_taken_places, take_place
from convarium.workers.run_file import Run
from convarium.workers.run_stage import WorkerStopped
from convarium.workers.worker import Worker

CONTROLLER_POLL_SECONDS = 0.5
PLACE_POLL_SECONDS = 0.5
PLACE_SECONDS = 30.0  # for which a backend's worker looks for a place before it leaves and the controller sends another


def run_worker(run_file: Path, worker_number: int) -> list[str]:
    """Work for the run in `run_file` as worker number `worker_number`; return a line for each failure met.

    Exceptions become such lines as well: the controller relies on the store, not on what its launcher hands on. A
    worker in a process of its own dies with its controller, unless an owner may give the run another one.
    """
    failures: list[str] = []
    try:
        run = Run.read(run_file)
    except UserError as error:
        return [str(error)]
    try:
        if run.controller != current_process():
            install_robust_streams()
            complete_import_path()
            if run.owner is None:
                watch_controller(run.controller, _exit_at_once)
            _ignore_interrupts()
        place = _wait_for_place(run, worker_number)
        if place is None:
            return [describe_taken_places(run)]
        work_in_place(run, place, worker_number, failures)
    except (WorkerStopped, KeyboardInterrupt):
        failures.append("stopped")
    except Exception as error:
        if not isinstance(error, UserError | FailureNotRecorded):
            traceback.print_exc()
        failures.append(format_error_line(error))
        run.record_worker_errors(worker_number, failures, isinstance(error, UserError))
    return failures


def work_in_place(
    run: Run,
    place: WorkerPlace,
    number: int,
    failures: list[str],
    print_line: Callable[[str], None] | None = None,
) -> None:
    """Run one ready node after another in a place, and leave it; add a line to `failures` for each that fails.

    Args:
        number: that of the worker.
        print_line: also called with whom the worker waits for.
    """
    try:
        notice = run.build_wait_notice(place.name, print_line)
        Worker(run, failures, number, notice, place.hardware).run_ready_nodes()
    finally:
        place.leave()
        if not run.file.exists():
            run.remove()  # once more: a network disk keeps a folder while a file in it is open, here the place's lease


@lru_cache  # a launcher may use one process for several workers in turn: one thread watches for all of them
def watch_controller(controller: Process, on_end: Callable[[], None]) -> None:
    """Call `on_end` in a thread as soon as a controller of this host has ended; one of another host can't be seen."""
    if is_on_this_host(controller):
        name, arguments = "watch the controller", (controller, on_end)
        threading.Thread(target=_wait_for_end, args=arguments, daemon=True, name=name).start()


def _wait_for_end(controller: Process, on_end: Callable[[], None]) -> None:
    while is_process_alive(controller):
        time.sleep(CONTROLLER_POLL_SECONDS)
    on_end()


def _exit_at_once() -> None:
    """End this process; its leases then count as those of a dead owner."""
    os._exit(1)  # sys.exit() would end this thread only


def _ignore_interrupts() -> None:
    # Ctrl-C reaches all processes of a terminal, and a stage that heard it before the controller has stopped the run
    # could count as failed. Python sets signal handlers in the main thread only.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _wait_for_place(run: Run, worker_number: int) -> WorkerPlace | None:
    """Take a place; None where there was none for PLACE_SECONDS, which the run's folder then says."""
    end = time.monotonic() + PLACE_SECONDS
    notice = run.build_wait_notice(f"place-{worker_number}")
    try:
        while (place := take_place(run)) is None:
            notice.update(lambda: describe_taken_places(run))
            if time.monotonic() >= end or run.has_to_be_left:
                run.record_no_place(worker_number, describe_taken_places(run))
                return None
            time.sleep(PLACE_POLL_SECONDS)
    finally:
        notice.clear()
    run.forget_no_place()
    return place
