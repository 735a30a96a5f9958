"""One launch of a plan: which plan, which store, who controls it. Workers know nothing else."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from convarium.errors import UserError
from convarium.store import disk
from convarium.store.plan import Plan
from convarium.store.process import Process, current, is_alive, is_here
from convarium.store.store import Store

SHAPE: disk.Shape = {"id": str, "store": str, "plan": str, "workers": int, "controller": dict}


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
        run = Run(uuid4().hex[:16], root, root / "plans" / f"{plan.hash}.json", workers, current())
        with disk.mistakes(root):
            run.plan.parent.mkdir(exist_ok=True)
            run.folder.mkdir(parents=True)
            plan.write(run.plan)
            fields = asdict(run) | {"store": str(run.store), "plan": str(run.plan)}
            disk.write_json(run.file, fields)
        return run

    @staticmethod
    def read(file: Path) -> "Run":
        """Read a run's file.

        Raises:
            UserError: the run is over.
        """
        fields = disk.read_object(file, SHAPE)
        if fields is None:
            raise UserError(f"{file}: the run is over")
        places = {"store": Path(fields["store"]), "plan": Path(fields["plan"])}
        return Run(**{**fields, **places, "controller": Process(**fields["controller"])})

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

    def enlist(self, worker: int) -> None:
        """Say which process is worker number `worker`."""
        if self.folder.is_dir():
            disk.write_json(self.folder / f"worker.{worker}.json", asdict(current()))
        if not self.file.exists():
            self.end()

    def complain(self, worker: int, lines: list[str]) -> None:
        """Leave word of what went wrong with worker number `worker`, if it can be written."""
        with suppress(OSError):
            disk.write_json(self.folder / f"complaint.{worker}.json", lines)

    def complaints(self) -> list[str]:
        """Return what workers left word of."""
        return [line for file in sorted(self.folder.glob("complaint.*.json")) for line in disk.read_json(file) or []]

    def crew(self) -> Iterator[Process]:
        """Yield the living workers of this host that have a process of their own."""
        for file in self.folder.glob("worker.*.json"):
            fields = disk.read_json(file)
            process = Process(**fields) if fields else current()
            if is_here(process) and is_alive(process) and process != current():
                yield process

    def end(self) -> None:
        """Forget the run; the plan and the results stay."""
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def forget_dead(store: Store) -> None:
    """Clear away what runs left whose controllers were killed."""
    for folder in list(dead(store)):
        shutil.rmtree(folder, ignore_errors=True)


def dead(store: Store) -> Iterator[Path]:
    """Yield the folders of runs whose controllers were killed."""
    yield from (file.parent for file, controller in _controllers(store) if _is_dead(controller))


def living(store: Store) -> bool:
    """Whether some run may be going on; one of another host counts until it is over."""
    return any(plans(store))


def plans(store: Store) -> Iterator[Path]:
    """Yield the plans of the runs that may be going on."""
    for file, controller in _controllers(store):
        if not _is_dead(controller) and (run := disk.read_object(file, SHAPE)):
            yield store.root / "plans" / Path(run["plan"]).name


def _controllers(store: Store) -> Iterator[tuple[Path, Process]]:
    for file in (store.root / "runs").glob("*/run.json"):
        fields = disk.read_object(file, SHAPE)
        if fields is not None:
            yield file, Process(**fields["controller"])


def _is_dead(controller: Process) -> bool:
    return is_here(controller) and not is_alive(controller)
