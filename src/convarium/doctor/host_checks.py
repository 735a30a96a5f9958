"""Checks of a host that workers run on."""

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.doctor.finding import Finding, make_check
from convarium.doctor.rivals import check_lock
from convarium.errors import UserError
from convarium.host.devices import count_task_cores, find_gpu_name, list_gpus
from convarium.host.process import current_process
from convarium.host.provenance import read_cpu_model
from convarium.host.room import FOLDER_VARIABLE, HostRoom, find_host_folder
from convarium.noun_count import format_noun_count
from convarium.planning.host_check import check_accelerator, check_devices
from convarium.store.disk import open_shared_file

MOUNTS_FILE = Path("/proc/self/mountinfo")
SUBVOLUME_DISKS = ("btrfs", "bcachefs")  # of which any mount is of a part
PRIVATE_FOLDER_HINT = (
    f"stages that take times are alone in their own job only; have all jobs of a host share a folder: export"
    f" {FOLDER_VARIABLE}=FOLDER, in a profile among the lines of hydra.launcher.setup"
)


@dataclass(frozen=True)
class HostNeeds:
    """What a command needs of the hosts that its workers run on.

    Attributes:
        devices: how many GPUs each worker is to have where there are any; 0: none.
        accelerator: the config's `runtime.accelerator`.
        cpus: the processors that times are for, as far as they are named.
        gpus: likewise the GPUs.
    """

    devices: int
    accelerator: str
    cpus: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()


def parse_host_needs(values: Mapping[str, Any]) -> HostNeeds:
    """Return what `dataclasses.asdict` made JSON of."""
    return HostNeeds(values["devices"], values["accelerator"], tuple(values["cpus"]), tuple(values["gpus"]))


def check_host(needs: HostNeeds) -> list[Finding]:
    """Make all checks of this host."""
    return [
        make_check("/tmp", _check_host_folder),
        make_check("locks of the host", _check_host_locks),
        make_check("processor", partial(_check_processor, needs)),
        make_check("devices", partial(_check_devices, needs)),
    ]


def is_private_folder(folder: Path, mounts: str) -> bool:
    """Whether a folder is a part of a disk that was mounted in its place, as schedulers do for each job.

    A job that is given a whole disk of its own, such as a new tmpfs, can't be told from a host that has one.

    Args:
        mounts: the text of /proc/self/mountinfo, proc_pid_mountinfo(5).
    """
    for line in reversed(mounts.splitlines()):
        fields = line.split()
        part, mount_point, disk_kind = fields[3], Path(fields[4]), fields[fields.index("-") + 1]
        if folder.is_relative_to(mount_point):
            return mount_point != Path("/") and part != "/" and disk_kind not in SUBVOLUME_DISKS
    return False


def _check_host_folder() -> str:
    folder = find_host_folder().resolve()
    mounts = MOUNTS_FILE.read_text() if MOUNTS_FILE.exists() else ""  # Linux only
    is_shared_by_users = FOLDER_VARIABLE in os.environ or bool(folder.stat().st_mode & stat.S_IWOTH)
    if is_private_folder(folder, mounts) or not is_shared_by_users:
        raise UserError(f"{folder} is not the whole host's, but one of this job or session: {PRIVATE_FOLDER_HINT}")
    return f"{folder} is the whole host's, as far as can be seen"


def _check_host_locks() -> str:
    room = HostRoom()
    for file in (room.room_file, room.door_file):
        if file.exists():
            os.close(open_shared_file(file))
    trial_file = room.room_file.with_name(f".convarium-doctor.{uuid4().hex}")
    try:
        os.close(open_shared_file(trial_file))
        check_lock(trial_file)
    except (UserError, OSError) as error:
        raise UserError(f"{error}; name another folder of this host: export {FOLDER_VARIABLE}=FOLDER") from None
    finally:
        trial_file.unlink(missing_ok=True)
    return f"of two processes one holds a lock in {trial_file.parent}"


def _check_processor(needs: HostNeeds) -> str:
    model = read_cpu_model()
    others = [cpu for cpu in needs.cpus if cpu != model]
    if others:
        raise UserError(
            f"{model}, and times are asked for on {', '.join(others)}: name this one (measurement.cpu), or have workers"
            " start on hosts that have the other"
        )
    return f"{model}, {format_noun_count(count_task_cores(), 'core')}"


def _check_devices(needs: HostNeeds) -> str:
    gpus = list_gpus()
    check_devices(needs.devices)
    if needs.accelerator in ("gpu", "mps"):
        check_accelerator(needs.accelerator)
    elif gpus and needs.devices > 1:
        _check_gpus_in_torch(len(gpus))
    others = [gpu for gpu in needs.gpus if gpu != find_gpu_name()]
    if others:
        raise UserError(
            f"{find_gpu_name() or 'no GPU'}, and times are asked for on {', '.join(others)}: name this one"
            " (measurement.gpu), or have workers start on hosts that have the other"
        )
    if gpus:
        names = ", ".join(dict.fromkeys(gpu.name for gpu in gpus))
        share = (
            f"{needs.devices} for each worker" if needs.devices else f"unused: runtime.accelerator={needs.accelerator}"
        )
        return f"{format_noun_count(len(gpus), 'GPU')} ({names}), {share}"
    return "no GPU" if shutil.which("nvidia-smi") else "no GPU: there is no nvidia-smi"


def _check_gpus_in_torch(gpu_count: int) -> None:
    import torch

    if torch.cuda.device_count() < gpu_count:
        raise UserError(
            f"nvidia-smi lists {format_noun_count(gpu_count, 'GPU')} on {current_process().host}, PyTorch finds"
            f" {torch.cuda.device_count()}: install the build of torch that fits the driver"
        )
