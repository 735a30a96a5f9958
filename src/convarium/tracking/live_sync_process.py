"""The process that writes to a tracker while a run goes on.

It reads a line of JSON (tracker, store, plan, sweep), follows the store until stdin ends, and looks once more.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from select import select
from typing import Any

from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.planning.plan_file import read_plan
from convarium.store.store import Store
from convarium.tracking.run_group import RunGroup
from convarium.tracking.tracker_sync import TrackerSync

MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 2.0, 60.0
PAUSE_TO_WORK_RATIO = 20.0  # pauses are so many times as long as what was done before


def main() -> None:
    """Follow the store until stdin ends; print a line now and then, empty while all is well."""
    _lower_priority()
    request = json.loads(sys.stdin.readline())
    plan = read_plan(Path(request["plan"]))
    sync = _build_sync(request, plan)
    ends = [end for point in plan.points for end in point.figure_signatures]
    done, word, pause, is_over = frozenset[str](), "", MIN_PAUSE_SECONDS, False
    while not is_over:
        is_over = _wait_for_input_end(pause)
        found = frozenset(sync.store.select_finished(ends))
        if (found != done and not is_over) or (is_over and not word):
            if is_over:
                _restore_priority()
            clock = time.monotonic()
            word = _sync_once(sync, is_over)
            done = done if word else found
            pause = min(max(PAUSE_TO_WORK_RATIO * (time.monotonic() - clock), MIN_PAUSE_SECONDS), MAX_PAUSE_SECONDS)
            _print_message(word)


def _build_sync(request: Mapping[str, Any], plan: Plan) -> TrackerSync:
    group = RunGroup(plan, request["sweep"])
    only = None if len(plan.points) > 1 else group.network_signatures
    store = Store(Path(request["store"]))
    return TrackerSync(store, request["uri"], request["experiment"], group if only is None else None, only)


def _sync_once(sync: TrackerSync, with_reports: bool) -> str:
    try:
        sync.run(lambda done, total: _print_message(""), with_reports)
    except UserError as error:
        return str(error)
    return ""


def _print_message(message: str) -> None:
    with suppress(OSError):
        print(message, flush=True)


def _wait_for_input_end(seconds: float) -> bool:
    """Wait so long for the end of stdin."""
    return bool(select([sys.stdin], [], [], seconds)[0])


def _lower_priority() -> None:
    """Run only when nobody else wants to."""
    with suppress(OSError):
        os.nice(19)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _restore_priority() -> None:
    """Run as others do again, where that is allowed: somebody waits."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
