"""Places: who works for a run and where. Each is a lease in the run's folder, with GPUs that its worker has alone.

The places of a run are `workers/<host>-<k>`. A worker takes the lowest k that is free, so that whoever comes to the run
can count who works there, and its lease says on what hardware. The GPUs are locked on the host as well, so that workers
of other runs pass them over; the kernel releases those of a killed process.
"""

import fcntl
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from convarium.errors import UserError
from convarium.host.devices import Gpu, list_gpus, select_gpus
from convarium.host.hardware import Hardware, parse_hardware, read_hardware
from convarium.host.process import current_process
from convarium.host.room import find_host_folder, try_lock
from convarium.noun_count import format_noun_count
from convarium.planning.host_check import check_devices
from convarium.store import disk
from convarium.workers.lease import Lease, LeaseManager
from convarium.workers.run_file import Run
from convarium.workers.slurm_job import build_job_details

HARDWARE_KEY = "hardware"  # among the details of a place's lease


@dataclass(frozen=True)
class WorkerPlace:
    """A place that this process holds.

    Attributes:
        number: the k of `workers/<host>-<k>`.
        gpus: those that go with it; none where the run wants none, or the host has none.
        lease: of the place.
        locks: descriptors of the GPUs' lock files.
        hardware: what its worker has of what times and executions are for.
    """

    number: int
    gpus: tuple[Gpu, ...]
    lease: Lease
    locks: tuple[int, ...]
    hardware: Hardware

    @property
    def name(self) -> str:
        """Return `<host>-<k>`, which no other living worker of the run has."""
        return self.lease.folder.name

    def leave(self) -> None:
        """Give the place and its GPUs back."""
        _close_all(self.locks)
        self.lease.release()


def take_place(run: Run) -> WorkerPlace | None:
    """Take a place for this process and select its GPUs; None where other workers have all GPUs of this host.

    Call it before torch is imported.

    Raises:
        UserError: the run is over, or this host has fewer GPUs than a worker is to have.
    """
    check_devices(run.devices)
    gpus = list_gpus() if run.devices else ()
    locks: dict[Gpu, int] = {}
    try:
        _lock_free_gpus(gpus, run.devices, locks)
        if gpus and len(locks) < run.devices:
            _close_all(locks.values())
            return None
        hardware = read_hardware(tuple(locks))
        number, lease = _take_lowest_number(run, hardware)
    except BaseException:
        _close_all(locks.values())
        raise
    if locks:
        select_gpus(tuple(locks))
    return WorkerPlace(number, tuple(locks), lease, tuple(locks.values()), hardware)


def read_place_hardware(run: Run, leases: LeaseManager) -> dict[str, tuple[Hardware, bool]]:
    """Return the hardware of each place of a run by the place's name, and whether its worker is alive.

    Args:
        leases: remembers since when those of other hosts are unchanged.
    """
    places: dict[str, tuple[Hardware, bool]] = {}
    for folder in disk.list_folder(run.places_folder):
        lease_info = leases.read(folder)
        hardware = None if lease_info is None else parse_hardware(lease_info.details.get(HARDWARE_KEY))
        if lease_info is not None and hardware is not None:
            places[folder.name] = hardware, lease_info.state == "alive"
    return places


def describe_taken_places(run: Run) -> str:
    """Return in words why there is no place for a further worker on this host."""
    gpus = format_noun_count(len(list_gpus()), "GPU")
    each = f", and a worker has {run.devices}" if run.devices > 1 else ""
    return f"no GPU is free on {current_process().host}: other workers have its {gpus}{each}"


def _lock_free_gpus(gpus: tuple[Gpu, ...], wanted_count: int, locks: dict[Gpu, int]) -> None:
    """Add free GPUs with the descriptors of their locks to `locks`, as many as are wanted or there are."""
    for gpu in gpus:
        if len(locks) == wanted_count:
            return
        lock = try_lock(find_host_folder() / f"convarium-gpu-{gpu.uuid}.lock", fcntl.LOCK_EX)
        if lock is not None:
            locks[gpu] = lock


def _take_lowest_number(run: Run, hardware: Hardware) -> tuple[int, Lease]:
    """Take the lease of the free place with the lowest number; return both."""
    leases = LeaseManager(run.id)
    details = {HARDWARE_KEY: asdict(hardware), **build_job_details(run.id)}
    for number in count():
        folder = run.places_folder / f"{current_process().host}-{number}"
        _make_place_folder(folder, run)
        lease = leases.take(folder, details)
        if not run.file.exists():
            if lease is not None:
                lease.release()
            run.remove()  # once more: what was written here since its folder was removed would stay
            raise UserError(f"{run.file}: the run is over")
        if lease is not None:
            return number, lease
    raise AssertionError("there is always a next number")


def _make_place_folder(folder: Path, run: Run) -> None:
    try:
        run.places_folder.mkdir(exist_ok=True)  # not its parents: a run that is over must not get its folder back
        folder.mkdir(exist_ok=True)
    except (FileNotFoundError, FileExistsError):  # the second where it was there a moment ago
        raise UserError(f"{run.file}: the run is over") from None


def _close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
