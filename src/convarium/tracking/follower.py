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
from convarium.store.plan import Plan
from convarium.store.store import Store
from convarium.tracking.group import Group
from convarium.tracking.sync import Sync

PAUSE_SECONDS, LONGEST_PAUSE = 2.0, 60.0
REST = 20.0  # pauses are so many times as long as what was done before


def main() -> None:
    """Follow the store until stdin ends; print a line now and then, empty while all is well."""
    _yield_to_others()
    request = json.loads(sys.stdin.readline())
    plan = Plan.read(Path(request["plan"]))
    sync = _sync(request, plan)
    ends = [end for point in plan.points for end in point.ends]
    done, word, pause, is_over = frozenset[str](), "", PAUSE_SECONDS, False
    while not is_over:
        is_over = _input_ends(pause)
        found = frozenset(sync.store.finished(ends))
        if (found != done and not is_over) or (is_over and not word):
            if is_over:
                _hurry()
            clock = time.monotonic()
            word = _pass(sync, is_over)
            done = done if word else found
            pause = min(max(REST * (time.monotonic() - clock), PAUSE_SECONDS), LONGEST_PAUSE)
            _print(word)


def _sync(request: Mapping[str, Any], plan: Plan) -> Sync:
    group = Group(plan, request["sweep"])
    only = None if len(plan.points) > 1 else group.networks
    store = Store(Path(request["store"]))
    return Sync(store, request["uri"], request["experiment"], group if only is None else None, only)


def _pass(sync: Sync, reports: bool) -> str:
    try:
        sync.run(lambda done, total: _print(""), reports)
    except UserError as error:
        return str(error)
    return ""


def _print(word: str) -> None:
    with suppress(OSError):
        print(word, flush=True)


def _input_ends(seconds: float) -> bool:
    """Wait so long for the end of stdin."""
    return bool(select([sys.stdin], [], [], seconds)[0])


def _yield_to_others() -> None:
    """Run only when nobody else wants to."""
    with suppress(OSError):
        os.nice(19)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _hurry() -> None:
    """Run as others do again, where that is allowed: somebody waits."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
