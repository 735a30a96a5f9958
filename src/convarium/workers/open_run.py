"""An open run as its controller sees it: a plan that changes while workers follow it."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from convarium.errors import UserError
from convarium.host.process import current_process
from convarium.planning.plan import Plan
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.backend import Backend
from convarium.workers.killed_leftovers import remove_killed_leftovers
from convarium.workers.lease import LeaseManager
from convarium.workers.open_plan import find_newest_version, read_newest_plan, write_open_plan
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_file import Run
from convarium.workers.run_folder import RUN_FILE, is_run_folder, remove_run_folder
from convarium.workers.run_owner import RunOwner, read_owned_run_id
from convarium.workers.scheduler import may_have_workers
from convarium.workers.supervisor import WorkerSupervisor


@dataclass(frozen=True)
class OpenRunSettings:
    """What an open run is begun with.

    Attributes:
        workers: how many at most.
        threads: of each worker.
        devices: how many GPUs each worker has, where its host has any; 0: none.
        idle_minutes, scheduler: see `Run`.
    """

    workers: int
    threads: int = 1
    devices: int = 0
    idle_minutes: float = 10.0
    scheduler: str | None = None


class OpenRun:
    """The run of an owner, controlled by this process for as long as it has the owner's lease.

    Every method that changes something raises LeaseLost where another controller has taken the run over.
    """

    def __init__(self, run: Run, owner: RunOwner, store: Store, backend: Backend, plan: Plan, count: int) -> None:
        self.run = run
        self._owner, self._store = owner, store
        self._supervisor = WorkerSupervisor(run, store, backend)
        self._leases = LeaseManager(run.id)
        self._plan, self._count = plan, count
        self._monitor = PlanMonitor(plan, is_open=True)
        self._done_signatures: set[str] = set()
        self._look_seconds = 0.0
        self._has_looked = False

    @staticmethod
    def begin_or_attach(
        owner: RunOwner, store: Store, settings: OpenRunSettings, build_backend: Callable[[Run], Backend]
    ) -> "OpenRun":
        """Take over the owner's run with its living workers; begin another where there are none.

        Raises:
            UserError: the store can't be written to.
        """
        with disk.translate_write_errors(owner.root):
            run = find_living_run(owner)
            if run is not None:
                owner.check()
                run = run.attach(owner, settings.workers)
                plan = read_newest_plan(run.folder)[1]
                return OpenRun(run, owner, store, build_backend(run), plan, 0)
            run = _begin_run(owner, settings)
            return OpenRun(run, owner, store, build_backend(run), Plan({}, ()), 1)

    def change_plan(self, plan: Plan) -> None:
        """Make workers follow another plan; whoever works on a node that is not in it leaves it after a checkpoint.

        Raises:
            UserError: the store can't be written to.
        """
        self._owner.check()
        with disk.translate_write_errors(self._owner.root):
            # The folder may be gone: who slept while it removed what a dead controller had left has removed this too.
            disk.make_folder(self.run.folder)
            write_open_plan(plan, self.run.folder, (self.run.lease, self._count))
            if not self.run.file.exists():
                self.run.write()
        self._count += 1
        self._plan = plan
        self._monitor = PlanMonitor(plan, is_open=True)

    def look(self) -> PlanState:
        """Return the state of the plan; start workers where some are missing and something is left to do.

        Raises:
            UserError: worker after worker has ended in vain.
        """
        plan_state = self._read_state()
        if not plan_state.is_finished:
            self._owner.check()  # what no worker fits, or has killed too many, fails now
        if self._supervisor.note_ended_jobs(plan_state) or not self._has_looked:
            plan_state = self._read_state()
            remove_killed_leftovers(self._store, self._done_signatures)
            self._has_looked = True
        self._supervisor.note_settled_nodes(plan_state)
        if not plan_state.is_finished:
            self._owner.check()
            if not self.run.file.exists():
                self.change_plan(self._plan)
            wanted = max(1, self.run.workers - self.run.count_workers_without_place())
            if not self._supervisor.submit_missing(wanted):
                raise UserError(f"the workers end one after another: {self._supervisor.explain_unfinished()[0]}")
        return plan_state

    def wait(self) -> None:
        """Wait until it is worth while to look again, or a worker has ended."""
        self._supervisor.wait(self._look_seconds)

    def count_living_workers(self) -> int:
        """Return how many workers have a place."""
        return sum(1 for _ in self.run.find_living_places(self._leases))

    def end(self) -> None:
        """End the run: its workers leave at their next look, those in the middle of a stage after a checkpoint."""
        self._owner.check()
        self.run.remove()
        self._supervisor.wait_for_workers_to_leave()
        self._supervisor.stop()
        self.run.remove()

    def stop(self) -> None:
        """Tell the workers to leave at once, end those that don't, and remove the run."""
        self._owner.check()
        self._supervisor.stop()
        self.run.remove()

    def _read_state(self) -> PlanState:
        start = time.monotonic()
        plan_state = self._monitor.read_state(self._store, self.run.id, self._done_signatures & self._plan.nodes.keys())
        self._done_signatures |= plan_state.done
        self._look_seconds = time.monotonic() - start
        return plan_state


def find_living_run(owner: RunOwner) -> Run | None:
    """Return the owner's run where workers of it are alive; remove one that has none, or was never finished."""
    folder = owner.root / "runs" / (read_owned_run_id(owner.lease.folder) or "")
    if not is_run_folder(folder):
        return None
    with suppress(UserError):
        run = replace(Run.read(folder / RUN_FILE), store=owner.root)
        # A controller that slept while it began may have lost the run, and written its file after all was removed.
        if find_newest_version(folder) is not None and may_have_workers(run):
            return run
    owner.check()
    remove_run_folder(folder)
    return None


def _begin_run(owner: RunOwner, settings: OpenRunSettings) -> Run:
    run = Run(
        id=uuid4().hex[:16],
        store=owner.root,
        plan=None,
        workers=settings.workers,
        threads=settings.threads,
        devices=settings.devices,
        controller=current_process(),
        owner=owner.name,
        lease=owner.lease.number,
        idle_minutes=settings.idle_minutes,
        scheduler=settings.scheduler,
    )
    # Its plan first, since workers and other commands may find the run as soon as its file is there; and the owner
    # before all, since a run that no owner names counts as dead.
    owner.check()
    owner.name_run(run.id)
    disk.make_folder(run.folder)
    write_open_plan(Plan({}, ()), run.folder, (run.lease, 0))
    run.write()
    return run
