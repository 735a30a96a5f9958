"""Who controls the run of a plan whose workers outlive their controller: one process, which the others follow.

The owner of such a run is a folder in the store that is named after what the run makes and with what, so that whoever
asks for the same finds it, on whichever host.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.store import disk
from convarium.store.signature import canonical_json
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.progress_display import ProgressDisplay
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_file import Run
from convarium.workers.run_folder import RUN_FILE
from convarium.workers.run_owner import RunOwner, is_controller, read_owned_run_id, take_owner
from convarium.workers.scheduler import may_have_workers

POLL_SECONDS = 0.5
OWNER_DIGITS = 16


@dataclass(frozen=True)
class RunClaim:
    """A run that this process controls as long as it has the owner's lease.

    Attributes:
        is_taken_over: whether another process has begun it, so that it may have workers already.
    """

    run: Run
    owner: RunOwner
    is_taken_over: bool


def claim_run(
    plan: Plan,
    store: Store,
    monitor: PlanMonitor,
    begin: Callable[[RunOwner], Run],
    workers: int,
    display: ProgressDisplay,
    has_lost_run: bool = False,
) -> RunClaim | PlanState:
    """Take over the run of a plan with its workers, or begin one; follow another process as long as that controls it.

    Args:
        has_lost_run: whether this process has controlled the run, and another has taken it.

    Returns:
        The run in the hands of this process; the plan's last state where the run ended in the hands of another.

    Raises:
        UserError: the store can't be written to.
        KeyboardInterrupt: the user does not want to follow any more; the run goes on.
    """
    root = store.root.resolve()
    folder = find_owner_folder(plan, root)
    with disk.translate_write_errors(root):
        disk.make_folder(folder)
        follower = RunFollower(plan, store, monitor, folder, display)
        owner = follower.follow_until_free()
        run = read_named_run(root, folder)
        is_over = run is None or run.is_stopped
        if is_over and (has_lost_run or follower.last_state is not None):
            owner.release()
            return follower.last_state or monitor.read_state(store, "")
        return take_run(owner, begin, workers)


def take_run(owner: RunOwner, begin: Callable[[RunOwner], Run], workers: int) -> RunClaim:
    """Take over the run that an owner names, with its workers and jobs; begin one where it has none.

    Raises:
        OSError: the disk refuses.
    """
    run = read_named_run(owner.root, owner.lease.folder)
    if run is not None and may_have_workers(run) and not run.is_stopped:
        print_line(f"takes over the run that {name_controller(run)} controlled, with its jobs")
        return RunClaim(run.attach(owner, workers), owner, True)
    if run is not None:
        run.remove()
    return RunClaim(begin(owner), owner, False)


def find_owner_folder(plan: Plan, root: Path) -> Path:
    """Return the folder that owns the run of a plan in the store at `root`.

    It is named after the goals and after what their stages are run with: a corrected `dataset.root` is another run.
    """
    runtimes = {signature: node.runtime for signature, node in plan.nodes.items()}
    text = canonical_json([sorted(plan.goal_signatures), runtimes])
    return root / "runs" / "owners" / sha256(text.encode()).hexdigest()[:OWNER_DIGITS]


def read_named_run(root: Path, folder: Path) -> Run | None:
    """Return the run that an owner names; None where it names none, or that is over."""
    run_id = read_owned_run_id(folder)
    if run_id is None:
        return None
    with suppress(UserError, OSError):
        return replace(Run.read(root / "runs" / run_id / RUN_FILE), store=root)
    return None


class RunFollower:
    """Looks at a run that another process controls.

    Attributes:
        last_state: of the plan, with the failures of that run; None where no run was seen.
    """

    def __init__(self, plan: Plan, store: Store, monitor: PlanMonitor, folder: Path, display: ProgressDisplay) -> None:
        self._plan, self._store, self._monitor, self._folder = plan, store, monitor, folder
        self._display = display
        self._run: Run | None = None
        self._leases = LeaseManager("")
        self.last_state: PlanState | None = None

    def follow_until_free(self) -> RunOwner:
        """Show the run until no living process controls it; return this one as its owner."""
        root = self._store.root.resolve()
        try:
            while (owner := take_owner(root, self._folder, self._leases)) is None:
                self._look(root)
                time.sleep(POLL_SECONDS)
        finally:
            if self._run is not None:
                self._display.end()
        if self._run is not None:
            self.last_state = self._read_state(self._run)
        return owner

    def _look(self, root: Path) -> None:
        run = read_named_run(root, self._folder)
        if self._run is None and run is not None and is_controller(self._leases.read(self._folder)):
            self._run = run
            print_line(
                f"{name_controller(run)} controls this run already; this command shows it, takes over if that process"
                f" dies, and Ctrl-C here only stops looking"
            )
            self._display.begin(self._plan, self._store, run, self._read_state(run))
        if self._run is not None:
            self.last_state = self._read_state(self._run)
            self._display.update(self.last_state)

    def _read_state(self, run: Run) -> PlanState:
        done = self.last_state.done if self.last_state else ()
        return self._monitor.read_state(self._store, run.id, done)


def name_controller(run: Run) -> str:
    """Return the process that controls a run, or did last, in words."""
    return f"{run.controller.host} process {run.controller.pid}"


def print_line(line: str) -> None:
    """Say something on stderr."""
    print(f"convarium: {line}", file=sys.stderr, flush=True)
