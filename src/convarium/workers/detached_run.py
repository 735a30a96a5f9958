"""Runs that no process controls from the beginning: their jobs are submitted, and the command ends."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from convarium.host.process import Process
from convarium.planning.plan import Plan
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.backend import Backend
from convarium.workers.lease import LeaseManager
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_claim import RunClaim, find_owner_folder, read_named_run, take_run
from convarium.workers.run_file import Run
from convarium.workers.run_owner import RunOwner, is_controller, take_owner

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class DetachedRun:
    """A run that goes on without this process.

    Attributes:
        jobs: ids of those that waited or ran before.
        submitted_jobs: ids of those that this process has submitted.
        missing_count: how many more it would have submitted, had the scheduler taken them.
        controller: the process that controls the run and so submits its jobs; None where none does.
    """

    run: Run
    jobs: tuple[str, ...]
    submitted_jobs: tuple[str, ...] = ()
    missing_count: int = 0
    controller: Process | None = None


def detach_run(
    plan: Plan,
    store: Store,
    monitor: PlanMonitor,
    begin: Callable[[RunOwner], Run],
    build_backend: Callable[[Run], Backend],
    workers: int,
) -> DetachedRun:
    """Submit the jobs of a plan that is not finished; of a run that goes on already, those that are missing.

    Args:
        begin: begins the run of an owner.
        build_backend: returns what submits the jobs of a run; they outlive this process.
        workers: how many at most.

    Raises:
        UserError: the store can't be written to, or the backend refused; nothing is queued then.
    """
    root = store.root.resolve()
    folder = find_owner_folder(plan, root)
    leases = LeaseManager("")
    with disk.translate_write_errors(root):
        disk.make_folder(folder)
        while (owner := take_owner(root, folder, leases)) is None:
            run = read_named_run(root, folder)
            if run is not None and is_controller(leases.read(folder)):
                return DetachedRun(run, _list_living_jobs(build_backend(run)), controller=run.controller)
            time.sleep(POLL_SECONDS)  # one of the run's workers has the lease for a moment, or the run is just begun
        try:
            claim = take_run(owner, begin, workers)
            plan_state = monitor.read_state(store, claim.run.id)
            wanted = min(workers, measure_greatest_width(plan, plan_state))
            return _submit_missing(claim, build_backend, wanted)
        finally:
            owner.release()


def measure_greatest_width(plan: Plan, plan_state: PlanState) -> int:
    """Return how many nodes may be ready at the same time: the most that have equally many missing stages before them.

    What has failed, and what that blocks, is not counted.
    """
    missing = plan.select_needed(plan_state.done) - plan_state.failed.keys() - plan_state.blocked
    levels: dict[str, int] = {}
    for signature, node in plan.nodes.items():  # parents first
        if signature in missing:
            levels[signature] = 1 + max((levels[parent] for parent in node.parents if parent in levels), default=0)
    counts = Counter(levels.values())
    return max(counts.values(), default=0)


def _submit_missing(claim: RunClaim, build_backend: Callable[[Run], Backend], wanted: int) -> DetachedRun:
    backend: Backend | None = None
    try:
        backend = build_backend(claim.run)
        jobs = _list_living_jobs(backend)
        known_jobs = {job.id for job in backend.states()}
        if wanted > len(jobs):
            claim.owner.check()
            backend.submit(wanted - len(jobs))
        submitted_jobs = tuple(job.id for job in backend.states() if job.id not in known_jobs)
    except BaseException:
        if not claim.is_taken_over:
            claim.run.remove()
            if backend is not None:
                backend.cancel()
        raise
    return DetachedRun(claim.run, jobs, submitted_jobs, max(0, wanted - len(jobs) - len(submitted_jobs)))


def _list_living_jobs(backend: Backend) -> tuple[str, ...]:
    return tuple(job.id for job in backend.states() if job.state != "ended")
