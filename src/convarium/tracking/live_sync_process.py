"""The process that writes to a tracker while a run goes on.

It reads one line of JSON (tracker, store, plan, sweep), syncs whenever results were finished, and once more when stdin
ends. Each line that it prints is a sign of life: empty while all is well, else the problem.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from select import select

from convarium.errors import UserError
from convarium.pause import compute_pause
from convarium.planning.plan_file import read_plan
from convarium.store.store import Store
from convarium.tracking.tracker_sync import TrackerSync, build_plan_sync

MIN_PAUSE_SECONDS = 2.0


def main() -> None:
    """Sync what is finished until stdin ends, and once more then."""
    _lower_priority()
    request = json.loads(sys.stdin.readline())
    plan = read_plan(Path(request["plan"]))
    store = Store(Path(request["store"]))
    sync = build_plan_sync(store, request["uri"], request["experiment"], plan, request["sweep"])
    signatures = [signature for point in plan.points for signature in point.figure_signatures]
    synced = frozenset[str]()
    problem = ""
    pause_seconds = MIN_PAUSE_SECONDS
    is_run_over = False
    while not is_run_over:
        is_run_over = _wait_for_input_end(pause_seconds)
        finished = frozenset(sync.store.select_finished(signatures))
        # Once the run is over its end waits for this process: a tracker that failed before is not tried again.
        is_sync_due = not problem if is_run_over else finished != synced
        if not is_sync_due:
            continue
        if is_run_over:
            _restore_priority()
        started = time.monotonic()
        problem = _sync_once(sync, with_reports=is_run_over)
        if not problem:
            synced = finished
        pause_seconds = max(MIN_PAUSE_SECONDS, compute_pause(time.monotonic() - started))
        _print_message(problem)


def _sync_once(sync: TrackerSync, with_reports: bool) -> str:
    """Sync; return what went wrong, "" if nothing did."""
    try:
        sync.run(lambda done, total: _print_message(""), with_reports)
    except UserError as error:
        return str(error)
    return ""


def _print_message(message: str) -> None:
    with suppress(OSError):  # the run may have ended before this process
        print(message, flush=True)


def _wait_for_input_end(seconds: float) -> bool:
    """Wait for the end of stdin, at most so long; return whether it has come."""
    return bool(select([sys.stdin], [], [], seconds)[0])


def _lower_priority() -> None:
    """Use only processor time that no other process wants."""
    with suppress(OSError):
        os.nice(19)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _restore_priority() -> None:
    """Go back to the normal scheduling policy, where that is allowed: the end of the run waits for this process."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
