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
from convarium.planning.plan import Plan
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store
from convarium.workers import stored_inputs
from convarium.workers.fresh_process import kill_fresh_processes
from convarium.workers.lease import LeaseManager, find_lease_number, remove_leases
from convarium.workers.owned_files import is_made_by_store
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_file import Run, remove_dead_runs
from convarium.workers.run_stage import StageRun, format_error_line, remove_leftovers
from convarium.workers.worker import DEATHS_UNTIL_FAILED, KILLED_MESSAGE

POLL_SECONDS = 0.2
MAX_FRUITLESS_LAUNCHES = 3
STOP_GRACE_SECONDS = 3.0

Launcher = Callable[[list[list[str]]], None]


class ProgressDisplay(Protocol):
    """Shows a run to the user."""

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """The run starts with what `plan_state` says."""

    def update(self, plan_state: PlanState) -> None:
        """Look again."""

    def end(self) -> None:
        """The run is over, whatever came of it."""


@dataclass(frozen=True)
class NodeStatus:
    """How a node ended: "done", "failed", "blocked" (by a failed one before it) or "unfinished"; why, if not done.

    A failure is a `mistake` where the user can mend it (data that are missing or corrupt). Of some `kind` it is a value
    in a comparison: what could not be reached, what is not installed.
    """

    state: str
    error: str | None = None
    mistake: bool = False
    kind: str | None = None


def run_plan(
    plan: Plan, store: Store, launcher: Launcher, workers: int, progress: ProgressDisplay
) -> dict[str, NodeStatus]:
    """Make everything the plan's points need that is not stored; return how each node ended.

    Args:
        launcher: blocks while workers do `work(file, number)` for each of its jobs, the texts
            `+runtime.plan=<file>`, `+runtime.worker=<number>`. What it returns or raises is no result.

    Raises:
        UserError: the store can't be written to, holds something else than it says, or the launcher refused.
        KeyboardInterrupt: the user stopped the run; its workers are gone.
    """
    schedule = PlanMonitor(plan)
    survey = schedule.read_state(store, "")
    stored_inputs.check_stored_inputs(plan, store, survey.done)
    stored_inputs.print_source_warning(store, survey.done)
    if store.is_created:
        remove_dead_runs(store)
        _remove_worker_leftovers(store, survey)
    if survey.is_finished:
        return _build_statuses(plan, survey, "")
    store.prepare()
    controller = Controller(plan, store, schedule, Run.begin(plan, store, workers), launcher, progress)
    progress.begin(plan, store, controller.run, survey)
    try:
        return controller.launch_until_done()
    except BaseException:
        controller.stop()
        raise
    finally:
        progress.end()
        controller.run.remove()


class LaunchThread(threading.Thread):
    """A launcher at work, in the background."""

    def __init__(self, launcher: Launcher, jobs: list[list[str]]) -> None:
        super().__init__(daemon=True, name="launch")
        self._launcher, self._jobs = launcher, jobs
        self.error: BaseException | None = None
        self.finished = threading.Event()  # an interrupted join() takes the thread for ended

    def run(self) -> None:
        """Launch, and keep what was raised."""
        if sys.platform != "win32":  # a hangup is this process's to hear, not what it starts from this thread
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            self._launcher(self._jobs)
        except BaseException as error:
            self.error = error
        finally:
            self.finished.set()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the launcher, at its next step."""
        if self.ident is not None:
            kind = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), kind)


class Controller:
    """One run from its first launch to its end."""

    def __init__(
        self, plan: Plan, store: Store, monitor: PlanMonitor, run: Run, launcher: Launcher, progress: ProgressDisplay
    ) -> None:
        self.plan, self.store, self.monitor, self.run = plan, store, monitor, run
        self._launcher, self._progress = launcher, progress
        self._launch_thread: LaunchThread | None = None
        self._done_signatures: frozenset[str] = frozenset()

    def launch_until_done(self) -> dict[str, NodeStatus]:
        """Launch until all that can be done is done, or launches are in vain."""
        vain, survey = 0, self._read_state()
        settled = len(survey.done)
        while not survey.is_finished:
            self._launch_thread = LaunchThread(self._launcher, self._build_jobs(survey))
            self._launch_thread.start()
            survey = self._wait_for_launch(self._launch_thread)
            error = self._launch_thread.error
            if not survey.is_finished:
                if isinstance(error, UserError):
                    raise error
                self.store.prepare()
                survey = self._fail_killed_nodes(survey)
                vain = 0 if len(survey.done) + len(survey.failed) > settled else vain + 1
                settled = len(survey.done) + len(survey.failed)
                if vain >= MAX_FRUITLESS_LAUNCHES:
                    return _build_statuses(self.plan, survey, self._explain_unfinished(error))
        stored_inputs.check_stored_inputs(self.plan, self.store, survey.done)
        return _build_statuses(self.plan, survey, "")

    def stop(self) -> None:
        """Leave no worker behind."""
        self.run.stop()
        if self._launch_thread is not None and not self._launch_thread.finished.is_set():
            self._launch_thread.interrupt()
            kill_fresh_processes()
            self._launch_thread.finished.wait(STOP_GRACE_SECONDS)
        for process in self.run.find_living_workers():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def _wait_for_launch(self, launch_thread: LaunchThread) -> PlanState:
        """Follow the store until the launcher returns, or a while after there is nothing left to do."""
        over_since: float | None = None
        while not launch_thread.finished.is_set():
            survey = self._read_state()
            now = time.monotonic()
            over_since = (over_since or now) if survey.is_finished else None
            if over_since is not None and now - over_since > STOP_GRACE_SECONDS:
                break
            launch_thread.finished.wait(POLL_SECONDS)
        return self._read_state()

    def _read_state(self) -> PlanState:
        survey = self.monitor.read_state(self.store, self.run.id, self._done_signatures)
        self._done_signatures = survey.done
        self._progress.update(survey)
        return survey

    def _fail_killed_nodes(self, plan_state: PlanState) -> PlanState:
        """Mark as failed what has killed its workers again and again."""
        leases = LeaseManager(self.run.id)
        for node in plan_state.ready:
            folder = self.store.folder_of(node)
            if leases.count_deaths(leases.read(folder)) >= DEATHS_UNTIL_FAILED:
                with suppress(OSError):  # a folder that takes nothing is its next worker's to tell
                    lease = leases.take(folder)
                    if lease is not None:
                        StageRun(node, lease, self.store, self.run, 1).record_failure(KILLED_MESSAGE)
        return self._read_state()

    def _explain_unfinished(self, error: BaseException | None) -> str:
        lines = [format_error_line(error)] if error else self.run.read_worker_errors()
        return lines[0] if lines else "its workers ended without it"

    def _build_jobs(self, plan_state: PlanState) -> list[list[str]]:
        open_nodes = len(self.plan.select_needed(plan_state.done))
        workers = max(1, min(self.run.workers, open_nodes))
        return [[f"+runtime.plan={self.run.file}", f"+runtime.worker={worker}"] for worker in range(workers)]


def _remove_worker_leftovers(store: Store, plan_state: PlanState) -> None:
    """Remove what a worker killed between its record and its cleaning has left."""
    for signature in plan_state.done:
        if (folder := store.find_folder(signature)) is not None:
            with suppress(OSError):
                is_left = find_lease_number(folder) is not None or ResultFolder(folder).checkpoints.exists()
                if is_left and is_made_by_store(folder, signature):
                    remove_leases(folder)
                    remove_leftovers(folder)


def _build_statuses(plan: Plan, plan_state: PlanState, reason: str) -> dict[str, NodeStatus]:
    statuses: dict[str, NodeStatus] = {}
    for signature, node in plan.nodes.items():
        if signature in plan_state.failed:
            failure = plan_state.failed[signature]
            line = f"{node.name}: {failure['error']}"
            statuses[signature] = NodeStatus("failed", line, failure["mistake"], failure.get("kind"))
        elif signature in plan_state.blocked:
            cause = next(
                parent for parent in node.parents if parent in plan_state.failed or parent in plan_state.blocked
            )
            statuses[signature] = replace(statuses[cause], state="blocked")
        elif signature in plan_state.done or plan_state.is_finished:
            statuses[signature] = NodeStatus("done")
        else:
            statuses[signature] = NodeStatus("unfinished", f"{node.name}: {reason}")
    return statuses
