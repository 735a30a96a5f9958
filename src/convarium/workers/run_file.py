"""One launch of a plan: which plan, which store, who controls it. Workers know nothing else."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import UserError
from convarium.host.process import Process, current_process, is_on_this_host, is_process_alive
from convarium.planning.plan import Plan
from convarium.store import disk
from convarium.store.store import Store

RUN_FOLDER_PATTERN = re.compile(r"[0-9a-f]{16}")
RUN_SHAPE: disk.JsonShape = {"id": str, "store": str, "plan": str, "workers": int, "controller": dict}


@dataclass(frozen=True)
class Run:
    """A controller's run of a plan with so many workers; its folder lives as long as the run."""

    id: str
    store: Path
    plan: Path
    workers: int
    controller: Process

    @staticmethod
    def begin(plan: Plan, store: Store, workers: int) -> "Run":
        """Write the plan and the run's own file."""
        root = store.root.resolve()
        run = Run(uuid4().hex[:16], root, root / "plans" / f"{plan.content_hash}.json", workers, current_process())
        with disk.translate_write_errors(root):
            disk.make_folder(run.plan.parent)
            disk.make_folder(run.folder)
            plan.write(run.plan)
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
        places = {"store": Path(fields["store"]), "plan": Path(fields["plan"])}
        try:
            return Run(**{**fields, **places, "controller": Process(**fields["controller"])})
        except TypeError:
            raise UserError(f"{file} is damaged: it tells no run of a plan") from None

    @property
    def folder(self) -> Path:
        """Where the run's file is, and who works for it."""
        return self.store / "runs" / self.id

    @property
    def file(self) -> Path:
        """What a worker is given."""
        return self.folder / "run.json"

    @property
    def is_stopped(self) -> bool:
        """Whether the controller wants its workers to leave."""
        return (self.folder / "stop").exists() or not self.file.exists()

    def stop(self) -> None:
        """Ask the workers to leave."""
        if self.folder.is_dir():
            (self.folder / "stop").touch()

    def register_worker(self, worker_number: int) -> None:
        """Say which process is worker number `worker_number`."""
        if self.folder.is_dir():
            disk.write_json(self.folder / f"worker.{worker_number}.json", asdict(current_process()))
        if not self.file.exists():
            self.remove()

    def record_worker_errors(self, worker_number: int, lines: list[str]) -> None:
        """Leave word of what went wrong with worker number `worker_number`, if it can be written."""
        with suppress(OSError):
            disk.write_json(self.folder / f"error.{worker_number}.json", lines)

    def read_worker_errors(self) -> list[str]:
        """Return what workers left word of."""
        return [line for file in sorted(self.folder.glob("error.*.json")) for line in disk.read_json(file) or []]

    def record_failure(self, signature: str, record: dict[str, Any]) -> None:
        """Write down here why a stage failed whose own folder takes nothing."""
        disk.write_json(self.folder / f"failed.{signature}.json", record)

    def find_living_workers(self) -> Iterator[Process]:
        """Yield the living workers of this host that have a process of their own."""
        for file in self.folder.glob("worker.*.json"):
            fields = disk.read_json(file)
            process = Process(**fields) if fields else current_process()
            if is_on_this_host(process) and is_process_alive(process) and process != current_process():
                yield process

    def remove(self) -> None:
        """Forget the run; the plan and the results stay."""
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_dead_runs(store: Store) -> None:
    """Clear away what runs left whose controllers were killed."""
    for folder in list(find_dead_runs(store)):
        shutil.rmtree(folder, ignore_errors=True)


def find_dead_runs(store: Store) -> Iterator[Path]:
    """Yield the folders of runs whose controllers were killed."""
    yield from (folder for folder, run in _list_runs(store) if run and _is_controller_dead(run.controller))


def find_living_runs(store: Store) -> Iterator[tuple[Path, Run | None]]:
    """Yield the folders of the runs that may be going on, and each run; None where its file can't be read.

    One of another host counts until it is over.
    """
    yield from ((folder, run) for folder, run in _list_runs(store) if not (run and _is_controller_dead(run.controller)))


def read_run_plan(folder: Path, run: Run | None) -> Plan:
    """Return the plan of one of the runs that may be going on.

    Raises:
        UserError: it is damaged.
        OSError: it can't be read.
    """
    if run is None:
        raise UserError(f"{folder / 'run.json'} is damaged or can't be read")
    return Plan.read(folder.parents[1] / "plans" / run.plan.name)


def is_run_folder(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return folder.parent.name == "runs" and RUN_FOLDER_PATTERN.fullmatch(folder.name) is not None


def _list_runs(store: Store) -> Iterator[tuple[Path, Run | None]]:
    """Yield the folders of runs with what is in them, None where that can't be read."""
    for folder in disk.list_folder(store.root / "runs"):
        if is_run_folder(folder) and not folder.is_symlink() and os.path.lexists(folder / "run.json"):
            try:
                run = Run.read(folder / "run.json")
            except (UserError, OSError):
                run = None
            yield folder, run if run and run.id == folder.name else None


def _is_controller_dead(controller: Process) -> bool:
    return is_on_this_host(controller) and not is_process_alive(controller)
