"""The process that the user started: it has workers started, follows the store, and replaces workers that died."""

import time
from collections.abc import Callable
from functools import partial

from convarium.errors import RunCancelled, is_interrupt
from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.workers import stored_inputs
from convarium.workers.backend import Backend
from convarium.workers.killed_leftovers import remove_killed_leftovers
from convarium.workers.lease import LeaseLost
from convarium.workers.node_status import NodeStatus, build_statuses
from convarium.workers.progress_display import ProgressDisplay
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_claim import RunClaim, claim_run
from convarium.workers.run_file import DEFAULT_IDLE_MINUTES, Run
from convarium.workers.run_owner import RunOwner
from convarium.workers.stored_runs import remove_dead_runs
from convarium.workers.supervisor import WorkerSupervisor


def run_plan(
    plan: Plan,
    store: Store,
    build_backend: Callable[[Run], Backend],
    workers: int,
    progress: ProgressDisplay,
    threads: int = 1,
    devices: int = 0,
    idle_minutes: float = DEFAULT_IDLE_MINUTES,
    scheduler: str | None = None,
    has_lasting_workers: bool = False,
) -> dict[str, NodeStatus]:
    """Make every result that the plan's points need and that is not stored; return how each node ended.

    Args:
        build_backend: returns what starts the workers of a run.
        workers: how many at most.
        threads: of each worker.
        devices: how many GPUs each worker has, where its host has any; 0: none.
        idle_minutes: what is for hardware that no worker has is given up after so long.
        scheduler: whose jobs the workers are. Those outlive this process, so another one that is asked for the same
            takes the run over, or follows it while this one is alive.
        has_lasting_workers: whether the workers outlive this process though no scheduler's name is known.

    Raises:
        UserError: the store can't be written to, a stored result has another config than its signature says, or the
            backend refused.
        KeyboardInterrupt: the user stopped the run, or cancelled it; its workers are gone, or leave.
    """
    monitor = PlanMonitor(plan)
    plan_state = look_at_store(plan, store, monitor)
    if plan_state.is_finished:
        return build_statuses(plan, plan_state)
    store.prepare()
    begin = partial(Run.begin, plan, store, workers, threads, devices, idle_minutes)
    if scheduler is None and not has_lasting_workers:
        return _control_run(begin(), plan, store, monitor, build_backend, progress)
    has_lost_run = False
    while True:
        claim = claim_run(plan, store, monitor, partial(begin, scheduler), workers, progress, has_lost_run)
        if isinstance(claim, PlanState):
            return build_statuses(plan, claim, "the process that controlled its run has ended it")
        try:
            return _control_run(claim.run, plan, store, monitor, build_backend, progress, claim)
        except LeaseLost:  # this process was cut off from the store, and another controls the run by now
            has_lost_run = True
        finally:
            claim.owner.release()


def look_at_store(plan: Plan, store: Store, monitor: PlanMonitor) -> PlanState:
    """Return the state of a plan before its run; remove what earlier runs have left behind that were killed.

    Raises:
        UserError: a stored result has another config than its signature says.
    """
    plan_state = monitor.read_state(store, "")
    stored_inputs.check_stored_inputs(plan, store, plan_state.done)
    stored_inputs.print_source_warning(store, plan_state.done)
    if store.is_created:
        remove_dead_runs(store)
        remove_killed_leftovers(store, plan_state.done)
    return plan_state


def _control_run(
    run: Run,
    plan: Plan,
    store: Store,
    monitor: PlanMonitor,
    build_backend: Callable[[Run], Backend],
    progress: ProgressDisplay,
    claim: RunClaim | None = None,
) -> dict[str, NodeStatus]:
    """Control a run until its end; where its jobs outlive this process, only an interrupt stops those that live."""
    try:
        backend = build_backend(run)
    except BaseException:
        if claim is None or not claim.is_taken_over:
            run.remove()
        raise
    controller = Controller(plan, store, monitor, run, backend, progress, claim.owner if claim else None)
    try:
        progress.begin(plan, store, run, monitor.read_state(store, run.id))
        statuses = controller.run_until_done()
    except BaseException as error:
        if controller.is_to_be_stopped(error):
            controller.stop()
        raise
    finally:
        progress.end()
    run.remove()
    controller.supervisor.cancel_waiting_jobs()
    return statuses


class Controller:
    """A closed run, from its first worker to its end.

    Args:
        owner: of the run, in the hands of this process; None where the run ends with this process.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        monitor: PlanMonitor,
        run: Run,
        backend: Backend,
        progress: ProgressDisplay,
        owner: RunOwner | None = None,
    ) -> None:
        self.plan, self.store, self.monitor, self.run = plan, store, monitor, run
        self._owner = owner
        self.supervisor = WorkerSupervisor(run, store, backend)
        self._progress = progress
        self._done_signatures: frozenset[str] = frozenset()
        self._look_seconds = 0.0

    def is_to_be_stopped(self, error: BaseException) -> bool:
        """Whether the run ends where its controller ends by an error.

        It goes on in the hands of whoever has its owner's lease, and where jobs live that a next controller will find.
        """
        if self._owner is None or is_interrupt(error):
            return True
        return not isinstance(error, LeaseLost) and not self.supervisor.has_living_jobs

    def stop(self) -> None:
        """End the run with its workers."""
        try:
            self.supervisor.stop()
        finally:
            self.run.remove()

    def run_until_done(self) -> dict[str, NodeStatus]:
        """Keep workers running until every node is done, failed or blocked, or worker after worker has settled none.

        Raises:
            LeaseLost: another process controls the run by now.
            RunCancelled: another process wants the run to end.
            UserError: the backend refused.
        """
        plan_state = self._read_state()
        self.supervisor.note_settled_nodes(plan_state)
        while not plan_state.is_finished:
            if self.supervisor.note_ended_jobs(plan_state):
                plan_state = self._read_state()
                self.supervisor.note_settled_nodes(plan_state)
            wanted = self._count_wanted_workers(plan_state)
            if self._owner is not None:
                self._owner.check()
                if self.run.is_stopped:
                    raise RunCancelled
            if not plan_state.is_finished and not self.supervisor.submit_missing(wanted):
                return build_statuses(self.plan, plan_state, *self.supervisor.explain_unfinished())
            self.supervisor.wait(self._look_seconds)
            plan_state = self._read_state()
        if self._owner is None:
            self.supervisor.wait_for_workers_to_leave()
        stored_inputs.check_stored_inputs(self.plan, self.store, plan_state.done)
        return build_statuses(self.plan, plan_state)

    def _count_wanted_workers(self, plan_state: PlanState) -> int:
        # Processes that find nothing to do cost nothing, but jobs hold what others queue for.
        is_queued_for = self._owner is not None
        useful_count = len(plan_state.ready if is_queued_for else self.plan.select_needed(plan_state.done))
        return max(1, min(self.run.workers - self.run.count_workers_without_place(), useful_count))

    def _read_state(self) -> PlanState:
        start = time.monotonic()
        plan_state = self.monitor.read_state(self.store, self.run.id, self._done_signatures)
        self._done_signatures = plan_state.done
        self._progress.update(plan_state)
        self._look_seconds = time.monotonic() - start
        return plan_state
