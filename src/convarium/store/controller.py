"""The process the user talks to: launches workers, follows the store, and launches again when workers died."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from convarium.errors import UserError
from convarium.store import reuse
from convarium.store.contents import is_ours
from convarium.store.execute import Execution, clear, one_line
from convarium.store.fresh import stop_fresh
from convarium.store.lease import Leases, forget, highest
from convarium.store.plan import Plan
from convarium.store.run_file import Run, forget_dead
from convarium.store.schedule import Schedule, Survey
from convarium.store.store import Store
from convarium.store.worker import DEATHS_UNTIL_FAILED, KILLED

TICK_SECONDS = 0.2
VAIN_LAUNCHES = 3
GRACE_SECONDS = 3.0

Launch = Callable[[list[list[str]]], None]


class Progress(Protocol):
    """Shows a run to the user."""

    def begin(self, plan: Plan, store: Store, run: Run, survey: Survey) -> None:
        """The run starts with what `survey` says."""

    def update(self, survey: Survey) -> None:
        """Look again."""

    def end(self) -> None:
        """The run is over, whatever came of it."""


@dataclass(frozen=True)
class Status:
    """How a node ended: "done", "failed", "blocked" (by a failed one before it) or "unfinished"; why, if not done.

    A failure is a `mistake` where the user can mend it (data that are missing or corrupt). Of some `kind` it is a value
    in a comparison: what could not be reached, what is not installed.
    """

    state: str
    error: str | None = None
    mistake: bool = False
    kind: str | None = None


def run(plan: Plan, store: Store, launch: Launch, workers: int, progress: Progress) -> dict[str, Status]:
    """Make everything the plan's points need that is not stored; return how each node ended.

    Args:
        launch: blocks while workers do `work(file, number)` for each of its jobs, the texts
            `+runtime.plan=<file>`, `+runtime.worker=<number>`. What it returns or raises is no result.

    Raises:
        UserError: the store can't be written to, holds something else than it says, or the launcher refused.
        KeyboardInterrupt: the user stopped the run; its workers are gone.
    """
    schedule = Schedule(plan)
    survey = schedule.survey(store, "")
    reuse.check(plan, store, survey.done)
    reuse.tell_changed_source(store, survey.done)
    if store.is_there:
        forget_dead(store)
        _tidy(store, survey)
    if survey.is_over:
        return _statuses(plan, survey, "")
    store.prepare()
    controller = Controller(plan, store, schedule, Run.begin(plan, store, workers), launch, progress)
    progress.begin(plan, store, controller.run, survey)
    try:
        return controller.follow()
    except BaseException:
        controller.stop()
        raise
    finally:
        progress.end()
        controller.run.end()


class Launching(threading.Thread):
    """A launcher at work, in the background."""

    def __init__(self, launch: Launch, jobs: list[list[str]]) -> None:
        super().__init__(daemon=True, name="launch")
        self._launch, self._jobs = launch, jobs
        self.error: BaseException | None = None
        self.ended = threading.Event()  # an interrupted join() takes the thread for ended

    def run(self) -> None:
        """Launch, and keep what was raised."""
        if sys.platform != "win32":  # a hangup is this process's to hear, not what it starts from this thread
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            self._launch(self._jobs)
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the launcher, at its next step."""
        if self.ident is not None:
            kind = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), kind)


class Controller:
    """One run from its first launch to its end."""

    def __init__(
        self, plan: Plan, store: Store, schedule: Schedule, run: Run, launch: Launch, progress: Progress
    ) -> None:
        self.plan, self.store, self.schedule, self.run = plan, store, schedule, run
        self._launch, self._progress = launch, progress
        self._launching: Launching | None = None
        self._done: frozenset[str] = frozenset()

    def follow(self) -> dict[str, Status]:
        """Launch until all that can be done is done, or launches are in vain."""
        vain, survey = 0, self._look()
        settled = len(survey.done)
        while not survey.is_over:
            self._launching = Launching(self._launch, self._jobs(survey))
            self._launching.start()
            survey = self._wait(self._launching)
            error = self._launching.error
            if not survey.is_over:
                if isinstance(error, UserError):
                    raise error
                self.store.prepare()
                survey = self._bury(survey)
                vain = 0 if len(survey.done) + len(survey.failed) > settled else vain + 1
                settled = len(survey.done) + len(survey.failed)
                if vain >= VAIN_LAUNCHES:
                    return _statuses(self.plan, survey, self._reason(error))
        reuse.check(self.plan, self.store, survey.done)
        return _statuses(self.plan, survey, "")

    def stop(self) -> None:
        """Leave no worker behind."""
        self.run.stop()
        if self._launching is not None and not self._launching.ended.is_set():
            self._launching.interrupt()
            stop_fresh()
            self._launching.ended.wait(GRACE_SECONDS)
        for process in self.run.crew():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def _wait(self, launching: Launching) -> Survey:
        """Follow the store until the launcher returns, or a while after there is nothing left to do."""
        over_since: float | None = None
        while not launching.ended.is_set():
            survey = self._look()
            now = time.monotonic()
            over_since = (over_since or now) if survey.is_over else None
            if over_since is not None and now - over_since > GRACE_SECONDS:
                break
            launching.ended.wait(TICK_SECONDS)
        return self._look()

    def _look(self) -> Survey:
        survey = self.schedule.survey(self.store, self.run.id, self._done)
        self._done = survey.done
        self._progress.update(survey)
        return survey

    def _bury(self, survey: Survey) -> Survey:
        """Mark as failed what has killed its workers again and again."""
        leases = Leases(self.run.id)
        for node in survey.ready:
            folder = self.store.folder(node)
            if leases.deaths(leases.look(folder)) >= DEATHS_UNTIL_FAILED:
                with suppress(OSError):  # a folder that takes nothing is its next worker's to tell
                    lease = leases.take(folder)
                    if lease is not None:
                        Execution(node, lease, self.store, self.run, 1).fail(KILLED)
        return self._look()

    def _reason(self, error: BaseException | None) -> str:
        complaints = [one_line(error)] if error else self.run.complaints()
        return complaints[0] if complaints else "its workers ended without it"

    def _jobs(self, survey: Survey) -> list[list[str]]:
        open_nodes = len(self.plan.needed(survey.done))
        workers = max(1, min(self.run.workers, open_nodes))
        return [[f"+runtime.plan={self.run.file}", f"+runtime.worker={worker}"] for worker in range(workers)]


def _tidy(store: Store, survey: Survey) -> None:
    """Remove what a worker killed between its record and its cleaning has left."""
    for signature in survey.done:
        if (folder := store.path(signature)) is not None:
            with suppress(OSError):
                is_left = highest(folder) is not None or (folder / "checkpoints").exists()
                if is_left and is_ours(folder, signature):
                    forget(folder)
                    clear(folder)


def _statuses(plan: Plan, survey: Survey, reason: str) -> dict[str, Status]:
    statuses: dict[str, Status] = {}
    for signature, node in plan.nodes.items():
        if signature in survey.failed:
            failure = survey.failed[signature]
            line = f"{node.name}: {failure['error']}"
            statuses[signature] = Status("failed", line, failure["mistake"], failure.get("kind"))
        elif signature in survey.blocked:
            cause = next(parent for parent in node.parents if parent in survey.failed or parent in survey.blocked)
            statuses[signature] = replace(statuses[cause], state="blocked")
        elif signature in survey.done or survey.is_over:
            statuses[signature] = Status("done")
        else:
            statuses[signature] = Status("unfinished", f"{node.name}: {reason}")
    return statuses
