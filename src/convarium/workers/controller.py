"""The process that the user started: it has workers started, follows the store, and replaces workers that died."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.workers import stored_inputs
from convarium.workers.backend import Backend
from convarium.workers.killed_leftovers import remove_killed_leftovers
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_file import DEFAULT_IDLE_MINUTES, Run
from convarium.workers.stored_runs import remove_dead_runs
from convarium.workers.supervisor import WorkerSupervisor

POLL_SECONDS = 0.2
REST_FACTOR = 20  # looks at the store take at most a twenty-first of the controller's time


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
        kind: set where the failure is a value in a comparison: what could not be reached, what is not installed, what
            no worker had the hardware for.
    """

    state: str
    error: str | None = None
    mistake: bool = False
    kind: str | None = None


def run_plan(
    plan: Plan,
    store: Store,
    build_backend: Callable[[Run], Backend],
    workers: int,
    progress: ProgressDisplay,
    threads: int = 1,
    devices: int = 0,
    idle_minutes: float = DEFAULT_IDLE_MINUTES,
) -> dict[str, NodeStatus]:
    """Make every result that the plan's points need and that is not stored; return how each node ended.

    Args:
        build_backend: returns what starts the workers of a run.
        workers: how many at most.
        threads: of each worker.
        devices: how many GPUs each worker has, where its host has any; 0: none.
        idle_minutes: what is for hardware that no worker has is given up after so long.

    Raises:
        UserError: the store can't be written to, a stored result has another config than its signature says, or the
            backend refused.
        KeyboardInterrupt: the user stopped the run; its workers are gone.
    """
    monitor = PlanMonitor(plan)
    plan_state = monitor.read_state(store, "")
    stored_inputs.check_stored_inputs(plan, store, plan_state.done)
    stored_inputs.print_source_warning(store, plan_state.done)
    if store.is_created:
        remove_dead_runs(store)
        remove_killed_leftovers(store, plan_state.done)
    if plan_state.is_finished:
        return _build_statuses(plan, plan_state)
    store.prepare()
    run = Run.begin(plan, store, workers, threads, devices, idle_minutes)
    try:
        controller = Controller(plan, store, monitor, run, build_backend(run), progress)
        progress.begin(plan, store, run, plan_state)
        try:
            return controller.run_until_done()
        except BaseException:
            controller.supervisor.stop()
            raise
        finally:
            progress.end()
    finally:
        run.remove()


class Controller:
    """A closed run, from its first worker to its end."""

    def __init__(
        self, plan: Plan, store: Store, monitor: PlanMonitor, run: Run, backend: Backend, progress: ProgressDisplay
    ) -> None:
        self.plan, self.store, self.monitor, self.run = plan, store, monitor, run
        self.supervisor = WorkerSupervisor(run, store, backend)
        self._progress = progress
        self._done_signatures: frozenset[str] = frozenset()
        self._look_seconds = 0.0

    def run_until_done(self) -> dict[str, NodeStatus]:
        """Keep workers running until every node is done, failed or blocked, or worker after worker has settled none."""
        plan_state = self._read_state()
        self.supervisor.note_settled_nodes(plan_state)
        while not plan_state.is_finished:
            if self.supervisor.note_ended_jobs(plan_state):
                plan_state = self._read_state()
                self.supervisor.note_settled_nodes(plan_state)
            wanted = self._count_wanted_workers(plan_state)
            if not plan_state.is_finished and not self.supervisor.submit_missing(wanted):
                return _build_statuses(self.plan, plan_state, *self.supervisor.explain_unfinished())
            self.supervisor.wait(max(POLL_SECONDS, REST_FACTOR * self._look_seconds))
            plan_state = self._read_state()
        self.supervisor.wait_for_workers_to_leave()
        stored_inputs.check_stored_inputs(self.plan, self.store, plan_state.done)
        return _build_statuses(self.plan, plan_state)

    def _count_wanted_workers(self, plan_state: PlanState) -> int:
        open_count = len(self.plan.select_needed(plan_state.done))
        return max(1, min(self.run.workers - self.run.count_workers_without_place(), open_count))

    def _read_state(self) -> PlanState:
        start = time.monotonic()
        plan_state = self.monitor.read_state(self.store, self.run.id, self._done_signatures)
        self._done_signatures = plan_state.done
        self._progress.update(plan_state)
        self._look_seconds = time.monotonic() - start
        return plan_state


def _build_statuses(
    plan: Plan, plan_state: PlanState, reason: str = "", is_mistake: bool = False
) -> dict[str, NodeStatus]:
    """Return each node's status by signature.

    Args:
        reason: why nodes are unfinished, if any are.
        is_mistake: whether the user can mend that.
    """
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
            statuses[signature] = NodeStatus("unfinished", f"{node.name}: {reason}", is_mistake)
    return statuses
