"""What owns a run: a folder that outlives the run's controller and names the run, so that another can take it over."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.store import disk
from convarium.workers.lease import Lease, LeaseInfo, LeaseManager
from convarium.workers.run_folder import is_run_folder, remove_run_folder

WORKER_KEY = "worker"  # among the details of an owner's lease
RUN_NAME_PREFIX = "run."  # of the owner's files that name its run
READ_ATTEMPTS = 20


@dataclass(frozen=True)
class RunOwner:
    """The owner's folder in the hands of this process, which alone controls its run as long as its lease lasts.

    Attributes:
        root: of the store.
        lease: of the owner's folder.
    """

    root: Path
    lease: Lease

    @property
    def name(self) -> str:
        """The folder below the store's root."""
        return self.lease.folder.relative_to(self.root).as_posix()

    def check(self) -> None:
        """Return if this process still controls the run; call it right before whatever changes the run.

        Raises:
            LeaseLost: another controller has taken it over.
        """
        self.lease.check()

    def name_run(self, run_id: str) -> None:
        """Write down which run belongs to the owner, and remove another one that an earlier lease's holder named.

        The file is named by the number of the lease, and the highest counts: so a controller that slept through its
        lease can't put its run in the place of its successor's.

        Raises:
            OSError: the disk refuses.
        """
        number = self.lease.number
        disk.write_bytes(self.lease.folder / f"{RUN_NAME_PREFIX}{number}", run_id.encode())
        for other_number, file in _list_run_names(self.lease.folder):
            if other_number < number:
                earlier_run = self.root / "runs" / (_read_run_id(file) or "")
                if earlier_run.name != run_id and is_run_folder(earlier_run):
                    remove_run_folder(earlier_run)
                file.unlink(missing_ok=True)

    def release(self) -> None:
        """Let another controller begin at once."""
        self.lease.release()


def take_owner(root: Path, folder: Path, leases: LeaseManager, is_worker: bool = False) -> RunOwner | None:
    """Take the lease of an owner's folder below a store's root; None where another controller has it.

    Args:
        leases: kept between the calls of one who waits: it remembers since when it sees another host's lease unchanged.
        is_worker: whether this process is a worker of the run, which has the lease for a moment while nobody controls.

    Raises:
        OSError: the lease's file can't be created.
    """
    details: Mapping[str, Any] | None = {WORKER_KEY: True} if is_worker else None
    lease = leases.take(folder, details)
    return None if lease is None else RunOwner(root, lease)


def is_controller(lease_info: LeaseInfo | None) -> bool:
    """Whether the holder of an owner's lease lives and controls its run, and is not one of its workers."""
    return lease_info is not None and lease_info.state == "alive" and WORKER_KEY not in lease_info.details


def read_owned_run_id(owner_folder: Path) -> str | None:
    """Return the id of the run that an owner names, None if it names none."""
    for _ in range(READ_ATTEMPTS):
        files = _list_run_names(owner_folder)
        if not files:
            return None
        run_id = _read_run_id(max(files)[1])
        if run_id is not None:
            return run_id
        # A successor has removed it since it was listed, and written its own.
    return None


def _read_run_id(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None


def _list_run_names(owner_folder: Path) -> list[tuple[int, Path]]:
    """Return the files that name a run, each with the number of the lease under which it was written."""
    files = [(path.name.removeprefix(RUN_NAME_PREFIX), path) for path in disk.list_folder(owner_folder)]
    return [(int(suffix), path) for suffix, path in files if suffix != path.name and suffix.isdecimal()]
