"""The file of a run: its plan, store and controller, which is all that a worker knows when it starts."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import UserError
from convarium.host.process import Process, current_process, is_on_this_host, is_process_alive
from convarium.planning.plan import Plan
from convarium.planning.plan_file import read_plan, write_plan
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.wait_notice import WaitNotice

RUN_FOLDER_PATTERN = re.compile(r"[0-9a-f]{16}")
RUN_SHAPE: disk.JsonShape = {
    "id": str, "store": str, "plan": str, "workers": int, "threads": int, "devices": int, "controller": dict,
}  # fmt: skip
RUN_FILE = "run.json"
NO_PLACE_PATTERN = "no_place.*"


@dataclass(frozen=True)
class Run:
    """A controller's run of a plan; its folder exists as long as the run.

    Attributes:
        id: 16 hexadecimal digits, the name of the run's folder.
        store: root folder of the store, absolute.
        plan: file of the plan.
        workers: how many workers the controller launches at most.
        threads: of each worker; decided once, since results are bit-equal only at equal threads.
        devices: how many of its host's GPUs each worker has, where there are any; 0: none.
        controller: process that launches the workers.
    """

    id: str
    store: Path
    plan: Path
    workers: int
    threads: int
    devices: int
    controller: Process

    @staticmethod
    def begin(plan: Plan, store: Store, workers: int, threads: int = 1, devices: int = 0) -> "Run":
        """Start a run controlled by this process: write the plan and the run's file.

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
            )
            disk.make_folder(run.folder)
            fields = asdict(run) | {"store": str(run.store), "plan": str(run.plan)}
            disk.write_json(run.file, fields)
        return run

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
            fields["plan"] = Path(fields["plan"])
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
        """Whether the controller wants its workers to leave, has ended the run, or has itself ended."""
        return self.is_stopped or _is_controller_dead(self.controller)

    @property
    def is_stopped(self) -> bool:
        """Whether the controller wants its workers to leave, or has ended the run."""
        return (self.folder / "stop").exists() or not self.file.exists()

    def stop(self) -> None:
        """Ask the workers to leave."""
        if self.folder.is_dir():
            (self.folder / "stop").touch()

    def record_worker_errors(self, worker_number: int, lines: list[str]) -> None:
        """Write the errors of worker number `worker_number` for the controller, if the disk takes them."""
        with suppress(OSError):
            disk.write_json(self.folder / f"error.{worker_number}.json", lines)

    def read_worker_errors(self) -> list[str]:
        """Return the error lines of all workers."""
        lines: list[str] = []
        for file in sorted(self.folder.glob("error.*.json")):
            lines.extend(disk.read_json(file) or [])
        return lines

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

    def count_workers_without_place(self) -> int:
        """Return how many workers have left for want of a place since the last one found one."""
        return sum(1 for _ in self.folder.glob(NO_PLACE_PATTERN))

    @property
    def places_folder(self) -> Path:
        """Folder of the places of all workers, `<host>-<k>` each."""
        return self.folder / "workers"

    def find_living_workers(self) -> Iterator[Process]:
        """Yield the living workers on this host, without those that share the calling process."""
        leases = LeaseManager(self.id)
        for folder in disk.list_folder(self.places_folder):
            lease_info = leases.read(folder)
            if lease_info is None or lease_info.owner is None or lease_info.state != "alive":
                continue
            if is_on_this_host(lease_info.owner) and lease_info.owner != current_process():
                yield lease_info.owner

    def remove(self) -> None:
        """Remove the run's folder; the plan and the results stay."""
        self.file.unlink(missing_ok=True)  # first: without it the run counts as over, even if the folder stays
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_dead_runs(store: Store) -> None:
    """Remove the folders of runs that ended with a kill of their controller."""
    for folder in list(find_dead_runs(store)):
        shutil.rmtree(folder, ignore_errors=True)


def find_dead_runs(store: Store) -> Iterator[Path]:
    """Yield the folders of runs that ended with a kill of their controller."""
    for folder, run in _list_runs(store):
        if run is not None and _is_controller_dead(run.controller):
            yield folder


def find_living_runs(store: Store) -> Iterator[tuple[Path, Run | None]]:
    """Yield the folder of each run that may be going on, and the run, None where its file can't be read.

    A run on another host counts as living as long as its file exists: this host can't see its controller.
    """
    for folder, run in _list_runs(store):
        if run is None or not _is_controller_dead(run.controller):
            yield folder, run


def read_run_plan(folder: Path, run: Run | None) -> Plan:
    """Return the plan of a run as `find_living_runs` yields it.

    Raises:
        UserError: the run's file or its plan is damaged.
        OSError: the plan can't be read.
    """
    if run is None:
        raise UserError(f"{folder / RUN_FILE} is damaged or can't be read")
    # Not run.plan itself: another host may have written it, where the store is mounted at another path.
    return read_plan(folder.parents[1] / "plans" / run.plan.name)


def is_run_folder(folder: Path) -> bool:
    """Whether a folder has the place and the name of a run's folder."""
    return folder.parent.name == "runs" and RUN_FOLDER_PATTERN.fullmatch(folder.name) is not None


def _list_runs(store: Store) -> Iterator[tuple[Path, Run | None]]:
    """Yield the folder of each run and the run, None where its file can't be read or belongs to another folder."""
    for folder in disk.list_folder(store.root / "runs"):
        file = folder / RUN_FILE
        # lexists, since a link that leads nowhere is a damaged run, which must be reported, and not a finished one
        if not is_run_folder(folder) or folder.is_symlink() or not os.path.lexists(file):
            continue
        run: Run | None = None
        with suppress(UserError, OSError):
            run = Run.read(file)
        if run is not None and run.id != folder.name:  # a copy: its controller says nothing about this folder
            run = None
        yield folder, run


def _is_controller_dead(controller: Process) -> bool:
    return is_on_this_host(controller) and not is_process_alive(controller)
