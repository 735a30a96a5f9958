"""The process that the user started: it launches workers, follows the store, and launches again when workers died."""

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
REST_FACTOR = 20  # looks at the store take at most a twenty-first of the controller's time
MAX_FRUITLESS_LAUNCHES = 3  # not below DEATHS_UNTIL_FAILED: a node that kills its worker in every launch fails first
STOP_GRACE_SECONDS = 3.0  # for the launcher to return, after a stop as after the last result

Launcher = Callable[[list[list[str]]], None]


class ProgressDisplay(Protocol):
    """Shows a run to the user."""

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """Show that the run starts from `plan_state`."""

    def update(self, plan_state: PlanState) -> None:
        """Show what has changed since the last call."""

    def end(self) -> None:
        """Close the display; the run has ended, with or without success."""


@dataclass(frozen=True)
class NodeStatus:
    """How a node ended.

    Attributes:
        state: "done", "failed", "blocked" (a parent or an earlier ancestor failed) or "unfinished".
        error: reason in one line, for a blocked node that of the failed one; None if done.
        mistake: whether the user can mend it (data that are missing or corrupt).
        kind: set where the failure is a value in a comparison: what could not be reached, what is not installed.
    """

    state: str
    error: str | None = None
    mistake: bool = False
    kind: str | None = None


def run_plan(
    plan: Plan, store: Store, launcher: Launcher, workers: int, progress: ProgressDisplay
) -> dict[str, NodeStatus]:
    """Make every result that the plan's points need and that is not stored; return how each node ended.

    Args:
        launcher: blocks while workers run `run_worker(file, number)` for each of its jobs, which are the overrides
            `+runtime.plan=<file>` and `+runtime.worker=<number>`. What it returns or raises proves nothing about the
            results.

    Raises:
        UserError: the store can't be written to, a stored result has another config than its signature says, or the
            launcher refused.
        KeyboardInterrupt: the user stopped the run; its workers are gone.
    """
    monitor = PlanMonitor(plan)
    plan_state = monitor.read_state(store, "")
    stored_inputs.check_stored_inputs(plan, store, plan_state.done)
    stored_inputs.print_source_warning(store, plan_state.done)
    if store.is_created:
        remove_dead_runs(store)
        _remove_worker_leftovers(store, plan_state)
    if plan_state.is_finished:
        return _build_statuses(plan, plan_state, "")
    store.prepare()
    controller = Controller(plan, store, monitor, Run.begin(plan, store, workers), launcher, progress)
    progress.begin(plan, store, controller.run, plan_state)
    try:
        return controller.launch_until_done()
    except BaseException:
        controller.stop()
        raise
    finally:
        progress.end()
        controller.run.remove()


class LaunchThread(threading.Thread):
    """A call of the launcher in the background.

    Attributes:
        error: what the launcher raised, None if nothing.
        finished: set when the launcher has returned or raised.
    """

    def __init__(self, launcher: Launcher, jobs: list[list[str]]) -> None:
        super().__init__(daemon=True, name="launch")
        self._launcher, self._jobs = launcher, jobs
        self.error: BaseException | None = None
        self.finished = threading.Event()  # in place of join(), which after a Ctrl-C takes the thread for ended

    def run(self) -> None:
        """Call the launcher and keep what it raises."""
        # The controller alone hears a hangup, and tells its workers to leave. Processes started from this thread
        # inherit its mask, so that the hangup kills none of them in the middle of a stage.
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            self._launcher(self._jobs)
        except BaseException as error:
            self.error = error
        finally:
            self.finished.set()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the launcher, as soon as it runs its next Python instruction."""
        # Python raises it for Ctrl-C in the main thread only, and `threading` can't raise anything in another thread.
        if self.ident is not None:
            exception_type = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), exception_type)


class Controller:
    """One run, from its first launch to its end."""

    def __init__(
        self, plan: Plan, store: Store, monitor: PlanMonitor, run: Run, launcher: Launcher, progress: ProgressDisplay
    ) -> None:
        self.plan, self.store, self.monitor, self.run = plan, store, monitor, run
        self._launcher, self._progress = launcher, progress
        self._launch_thread: LaunchThread | None = None
        self._done_signatures: frozenset[str] = frozenset()
        self._look_seconds = 0.0

    def launch_until_done(self) -> dict[str, NodeStatus]:
        """Launch workers until every node is done, failed or blocked, or launch after launch has settled none."""
        plan_state = self._read_state()
        settled_count = len(plan_state.done)
        fruitless_launches = 0
        while not plan_state.is_finished:
            self._launch_thread = LaunchThread(self._launcher, self._build_jobs(plan_state))
            self._launch_thread.start()
            plan_state = self._wait_for_launch(self._launch_thread)
            if plan_state.is_finished:
                break
            error = self._launch_thread.error
            if isinstance(error, UserError):
                raise error
            self.store.prepare()
            plan_state = self._fail_killed_nodes(plan_state)
            last_settled_count = settled_count
            settled_count = len(plan_state.done) + len(plan_state.failed)
            fruitless_launches = 0 if settled_count > last_settled_count else fruitless_launches + 1
            if fruitless_launches >= MAX_FRUITLESS_LAUNCHES:
                return _build_statuses(self.plan, plan_state, self._explain_unfinished(error))
        stored_inputs.check_stored_inputs(self.plan, self.store, plan_state.done)
        return _build_statuses(self.plan, plan_state, "")

    def stop(self) -> None:
        """End all workers: ask them to leave, interrupt the launcher, then kill those that are still alive."""
        self.run.stop()
        if self._launch_thread is not None and not self._launch_thread.finished.is_set():
            self._launch_thread.interrupt()
            # A worker in this process that waits for a fresh process sees the interrupt only when that has ended.
            kill_fresh_processes()
            self._launch_thread.finished.wait(STOP_GRACE_SECONDS)
        for process in self.run.find_living_workers():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def _wait_for_launch(self, launch_thread: LaunchThread) -> PlanState:
        """Follow the store until the launcher returns; a launcher that hangs after the last result is left alone."""
        finished_at: float | None = None
        while not launch_thread.finished.is_set():
            plan_state = self._read_state()
            now = time.monotonic()
            if not plan_state.is_finished:
                finished_at = None
            elif finished_at is None:
                finished_at = now
            elif now - finished_at > STOP_GRACE_SECONDS:
                break
            launch_thread.finished.wait(max(POLL_SECONDS, REST_FACTOR * self._look_seconds))
        return self._read_state()

    def _read_state(self) -> PlanState:
        start = time.monotonic()
        plan_state = self.monitor.read_state(self.store, self.run.id, self._done_signatures)
        self._done_signatures = plan_state.done
        self._progress.update(plan_state)
        self._look_seconds = time.monotonic() - start
        return plan_state

    def _fail_killed_nodes(self, plan_state: PlanState) -> PlanState:
        """Record the failure of nodes that have killed worker after worker; return the new state."""
        leases = LeaseManager(self.run.id)
        for node in plan_state.ready:
            folder = self.store.folder_of(node)
            if leases.count_deaths(leases.read(folder)) < DEATHS_UNTIL_FAILED:
                continue
            with suppress(OSError):  # the next worker to try reports a folder that can't be written to
                lease = leases.take(folder)
                if lease is not None:
                    StageRun(node, lease, self.store, self.run, threads=1).record_failure(KILLED_MESSAGE)
        return self._read_state()

    def _explain_unfinished(self, error: BaseException | None) -> str:
        if error is not None:
            return format_error_line(error)
        worker_errors = self.run.read_worker_errors()
        return worker_errors[0] if worker_errors else "its workers ended without it"

    def _build_jobs(self, plan_state: PlanState) -> list[list[str]]:
        open_count = len(self.plan.select_needed(plan_state.done))
        workers = max(1, min(self.run.workers, open_count))
        return [[f"+runtime.plan={self.run.file}", f"+runtime.worker={worker}"] for worker in range(workers)]


def _remove_worker_leftovers(store: Store, plan_state: PlanState) -> None:
    """Clean up after workers that were killed between writing a record and removing leases and checkpoints."""
    for signature in plan_state.done:
        folder = store.find_folder(signature)
        if folder is None:
            continue
        with suppress(OSError):
            has_leftovers = find_lease_number(folder) is not None or ResultFolder(folder).checkpoints.exists()
            if has_leftovers and is_made_by_store(folder, signature):
                remove_leases(folder)
                remove_leftovers(folder)


def _build_statuses(plan: Plan, plan_state: PlanState, reason: str) -> dict[str, NodeStatus]:
    """Return each node's status by signature; `reason` says why nodes are unfinished, if any are."""
    statuses: dict[str, NodeStatus] = {}
    failed_or_blocked = plan_state.failed.keys() | plan_state.blocked
    for signature, node in plan.nodes.items():
        if signature in plan_state.failed:
            failure = plan_state.failed[signature]
            line = f"{node.name}: {failure['error']}"
            statuses[signature] = NodeStatus("failed", line, failure["mistake"], failure.get("kind"))
        elif signature in plan_state.blocked:
            blocking_parent = next(parent for parent in node.parents if parent in failed_or_blocked)
            statuses[signature] = replace(statuses[blocking_parent], state="blocked")
        elif signature in plan_state.done or plan_state.is_finished:
            # In a finished plan a node may be missing from the store: an ancestor of stored results is not needed.
            statuses[signature] = NodeStatus("done")
        else:
            statuses[signature] = NodeStatus("unfinished", f"{node.name}: {reason}")
    return statuses
