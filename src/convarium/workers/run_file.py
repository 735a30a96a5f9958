"""The file of a run: its plan, store and controller, which is all that a worker knows when it starts."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import UserError
from convarium.host.process import Process, current_process, is_on_this_host, is_process_alive
from convarium.planning.plan import Plan
from convarium.planning.plan_file import write_plan
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.leave_notice import is_leave_notice_given
from convarium.workers.run_folder import RUN_FILE, remove_run_folder
from convarium.workers.run_owner import RunOwner
from convarium.workers.wait_notice import WaitNotice

RUN_SHAPE: disk.JsonShape = {
    "id": str, "store": str, "plan": (str, type(None)), "workers": int, "threads": int, "devices": int,
    "controller": dict, "owner": (str, type(None)), "lease": int, "idle_minutes": (int, float),
    "scheduler": (str, type(None)),
}  # fmt: skip
WORKER_ERRORS_SHAPE: disk.JsonShape = {"lines": list, "mistake": bool}
DEFAULT_IDLE_MINUTES = 10.0
NO_PLACE_PATTERN = "no_place.*"
REFUSED_SUBMISSION_FILE = "refused_submission"


@dataclass(frozen=True)
class Run:
    """A controller's run of a plan; its folder exists as long as the run.

    A run is open when its plan changes while workers follow it. It may have an owner: a folder that outlives the
    controller, so that another controller can take the run over with its workers.

    Attributes:
        id: 16 hexadecimal digits, the name of the run's folder.
        store: root folder of the store, absolute.
        plan: file of the plan; None of an open run, whose folder holds the newest (`workers/open_plan.py`).
        workers: how many workers the controller launches at most.
        threads: of each worker; decided once, since results are bit-equal only at equal threads.
        devices: how many of its host's GPUs each worker has, where there are any; 0: none.
        controller: process that launches the workers.
        owner: the owner's folder, below the store's root; None: the run ends with its controller.
        lease: number of the owner's lease under which the controller took the run; 0 without an owner.
        idle_minutes: what is for hardware that no worker has is given up after so long; a worker of a run with an
            owner leaves after so long without anything to do.
        scheduler: whose jobs the workers are, "slurm"; None where they are processes that no scheduler knows.
    """

    id: str
    store: Path
    plan: Path | None
    workers: int
    threads: int
    devices: int
    controller: Process
    owner: str | None = None
    lease: int = 0
    idle_minutes: float = DEFAULT_IDLE_MINUTES
    scheduler: str | None = None

    @staticmethod
    def begin(
        plan: Plan,
        store: Store,
        workers: int,
        threads: int = 1,
        devices: int = 0,
        idle_minutes: float = DEFAULT_IDLE_MINUTES,
        scheduler: str | None = None,
        owner: RunOwner | None = None,
    ) -> "Run":
        """Start a closed run controlled by this process: write the plan and the run's file.

        Args:
            owner: names the run before its file is there, since a run that no owner names counts as dead.

        Raises:
            UserError: the store can't be written to.
        """
        root = store.root.resolve()
        with disk.translate_write_errors(root):
            plans_folder = root / "plans"
            disk.make_folder(plans_folder)
            plan_file = write_plan(plan, plans_folder)
            run = Run(
                id=uuid4().hex[:16],
                store=root,
                plan=plan_file,
                workers=workers,
                threads=threads,
                devices=devices,
                controller=current_process(),
                owner=None if owner is None else owner.name,
                lease=0 if owner is None else owner.lease.number,
                idle_minutes=idle_minutes,
                scheduler=scheduler,
            )
            if owner is not None:
                owner.name_run(run.id)
            run.write()
        return run

    def write(self) -> None:
        """Write the run's file.

        Raises:
            OSError: the disk refuses.
        """
        disk.make_folder(self.folder)
        plan = None if self.plan is None else str(self.plan)
        disk.write_json(self.file, asdict(self) | {"store": str(self.store), "plan": plan})

    @staticmethod
    def read(file: Path) -> "Run":
        """Read a run's file.

        Raises:
            UserError: the run is over, or its file is damaged.
        """
        fields = disk.read_json_object(file, RUN_SHAPE)
        if fields is None:
            raise UserError(f"{file}: the run is over")
        try:
            fields["store"] = Path(fields["store"])
            fields["plan"] = fields["plan"] and Path(fields["plan"])
            fields["controller"] = Process(**fields["controller"])
            return Run(**fields)
        except TypeError:
            raise UserError(f"{file} is damaged: it does not describe a run") from None

    @property
    def folder(self) -> Path:
        """Folder of the run's file and of the files that its workers write about themselves."""
        return self.store / "runs" / self.id

    @property
    def file(self) -> Path:
        """The run's file, from which a worker starts."""
        return self.folder / RUN_FILE

    @property
    def is_over(self) -> bool:
        """Whether the workers are to leave, the run has ended, or its controller has, if the run has no owner."""
        return self.is_stopped or (self.owner is None and is_process_dead(self.controller))

    @property
    def is_stopped(self) -> bool:
        """Whether the controller wants its workers to leave, or has ended the run."""
        lease = self.lease if self.owner is None else self._read_lease_number()
        return (self.folder / f"stop.{lease}").exists() or not self.file.exists()

    @property
    def has_to_be_left(self) -> bool:
        """Whether this process is to work no longer for the run: that is stopped, or its host wants to be left."""
        return is_leave_notice_given() or self.is_stopped

    @property
    def is_open(self) -> bool:
        """Whether the plan changes while the run goes on."""
        return self.plan is None

    def stop(self) -> None:
        """Ask the workers to leave; it counts only as long as no other controller has taken the run over."""
        if self.folder.is_dir():
            (self.folder / f"stop.{self.lease}").touch()

    def attach(self, owner: RunOwner, workers: int) -> "Run":
        """Take the run over from a dead controller as its owner's lease says; return it as it is now.

        Its threads stay as they are: results are bit-equal only at equal threads.

        Raises:
            OSError: the disk refuses.
        """
        run = replace(self, controller=current_process(), lease=owner.lease.number, workers=workers)
        owner.name_run(run.id)  # anew, lest one who sleeps under an earlier lease names another
        run.write()
        return run

    def _read_lease_number(self) -> int:
        """Return the lease under which the present controller has the run; the last known where it can't be read."""
        with suppress(UserError, OSError):
            return Run.read(self.file).lease
        return self.lease

    def record_worker_errors(self, worker_number: int, lines: list[str], is_mistake: bool) -> None:
        """Write the errors of worker number `worker_number` for the controller, if the disk takes them.

        Args:
            is_mistake: whether the user can mend what ended it.
        """
        with suppress(OSError):
            disk.write_json(self.folder / f"error.{worker_number}.json", {"lines": lines, "mistake": is_mistake})

    def read_worker_errors(self) -> tuple[list[str], bool]:
        """Return the error lines of all workers, and whether the user can mend what ended each of them."""
        files = [disk.read_json_object(file, WORKER_ERRORS_SHAPE) for file in sorted(self.folder.glob("error.*.json"))]
        errors = [error for error in files if error is not None]
        lines = [line for error in errors for line in error["lines"]]
        return lines, bool(errors) and all(error["mistake"] for error in errors)

    def record_failure(self, signature: str, record: dict[str, Any]) -> None:
        """Write the failure of a stage into the run's folder, where its own folder can't be written to."""
        disk.write_json(self.folder / f"failed.{signature}.json", record)

    def build_wait_notice(self, waiter: str, print_line: Callable[[str], None] | None = None) -> WaitNotice:
        """Return what says whom or what a waiter, a worker or a stage, waits for."""
        return WaitNotice(self.folder / f"waiting.{waiter}", print_line)

    def read_wait_notices(self) -> list[str]:
        """Return what is waited for, a line each."""
        files = [*sorted(self.folder.glob("waiting.*")), *sorted(self.folder.glob(NO_PLACE_PATTERN))]
        lines: dict[str, None] = {}
        for file in files:
            with suppress(OSError):  # the wait may end meanwhile
                lines[file.read_text(encoding="utf-8")] = None
        return list(lines)

    def record_no_place(self, worker_number: int, line: str) -> None:
        """Note that worker number `worker_number` leaves because its host has no place for it, if the disk lets it."""
        with suppress(OSError):
            disk.write_bytes(self.folder / f"no_place.{worker_number}", line.encode())

    def forget_no_place(self) -> None:
        """Note that there are places again."""
        for file in self.folder.glob(NO_PLACE_PATTERN):
            file.unlink(missing_ok=True)

    def note_idle_leave(self) -> None:
        """Note that a worker leaves because it has found nothing to do, if the disk lets it."""
        with suppress(OSError):
            (self.folder / f"idle.{uuid4().hex}").touch()

    def count_idle_leaves(self) -> int:
        """Return how many workers have left because they found nothing to do."""
        return sum(1 for _ in self.folder.glob("idle.*"))

    def note_refused_submission(self, line: str) -> None:
        """Note why a worker could not submit jobs that are missing, if the disk lets it."""
        with suppress(OSError):
            disk.write_bytes(self.folder / REFUSED_SUBMISSION_FILE, line.encode())

    def forget_refused_submission(self) -> None:
        """Note that jobs were submitted since."""
        (self.folder / REFUSED_SUBMISSION_FILE).unlink(missing_ok=True)

    def read_refused_submission(self) -> str | None:
        """Return why the last worker that tried could not submit jobs that are missing; None where none was refused."""
        try:
            return (self.folder / REFUSED_SUBMISSION_FILE).read_text(encoding="utf-8")
        except OSError:
            return None

    def count_workers_without_place(self) -> int:
        """Return how many workers have left for want of a place since the last one found one."""
        return sum(1 for _ in self.folder.glob(NO_PLACE_PATTERN))

    @property
    def places_folder(self) -> Path:
        """Folder of the places of all workers, `<host>-<k>` each."""
        return self.folder / "workers"

    def find_living_places(self, leases: LeaseManager | None = None) -> Iterator[tuple[str, Process | None]]:
        """Yield the name and the worker of each living place; None where another user's lease can't be read.

        Args:
            leases: remembers since when the leases of other hosts are unchanged; without it all those count as living.
        """
        leases = leases or LeaseManager(self.id)
        for folder in disk.list_folder(self.places_folder):
            lease_info = leases.read(folder)
            if lease_info is not None and lease_info.state == "alive":
                yield folder.name, lease_info.owner

    def find_living_workers(self) -> Iterator[Process]:
        """Yield the living workers on this host, without those that share the calling process."""
        for _, worker in self.find_living_places():
            if worker is not None and is_on_this_host(worker) and worker != current_process():
                yield worker

    def remove(self) -> None:
        """Remove the run's folder; the plan and the results stay."""
        remove_run_folder(self.folder)


def is_process_dead(process: Process) -> bool:
    """Whether a process of this host has ended; one of another host can't be seen."""
    return is_on_this_host(process) and not is_process_alive(process)
