"""The GPUs and cores that this process may use; NVIDIA's own tool lists the GPUs, since torch is not imported yet.

CUDA reads its variables once, when a process first uses it: a worker chooses its devices before torch is imported.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from convarium.host.provenance import count_cores

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
ORDER_VARIABLE = "CUDA_DEVICE_ORDER"
TASK_CORES_VARIABLE = "SLURM_CPUS_PER_TASK"  # Slurm sets it even where it does not bind the task to these cores
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # read once, when torch is imported
QUERY_COMMAND = ("nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader")
QUERY_TIMEOUT_SECONDS = 30.0  # without its daemon the driver needs seconds to wake up
PART_PREFIX = "MIG-"  # of the name of a part of a GPU, which nvidia-smi does not list
DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Gpu:
    """A GPU of this host.

    Attributes:
        index: what CUDA_VISIBLE_DEVICES calls it, in the order of the PCI bus. In a job that sees some of the host's
            GPUs only, it counts those.
        uuid: by which all processes of the host, in whichever job, mean the same GPU.
        name: of its model; a part of a GPU has that of the host's first GPU.
    """

    index: str
    uuid: str
    name: str = ""


def list_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves to this process, none where nvidia-smi is missing or fails."""
    host_gpus = _query_gpus()
    visible = os.environ.get(VISIBLE_VARIABLE)
    if visible is None:
        return host_gpus
    gpus: list[Gpu] = []
    for entry in visible.split(","):
        gpu = _find_gpu(entry.strip(), host_gpus)
        if gpu is None:  # CUDA ignores whatever follows an entry that it does not know
            break
        gpus.append(gpu)
    return tuple(gpus)


def find_gpu_name() -> str | None:
    """Return the name of the first GPU that this process may use, None where there is none."""
    gpus = list_gpus()
    if gpus:
        return gpus[0].name
    is_hidden = bool(_query_gpus())
    return None if is_hidden else _read_driver_name()


def select_gpus(gpus: Sequence[Gpu]) -> None:
    """Have this process use these GPUs and no others, unless it sees no others anyway, as in a scheduler's job."""
    is_selected = VISIBLE_VARIABLE in os.environ and tuple(gpus) == list_gpus()
    if not is_selected:
        os.environ[ORDER_VARIABLE] = "PCI_BUS_ID"  # the order of nvidia-smi; CUDA's own puts the fastest first
        os.environ[VISIBLE_VARIABLE] = ",".join(gpu.index for gpu in gpus)


def count_task_cores() -> int:
    """Return how many cores this process may use, by its affinity and by the scheduler that started it."""
    given = os.environ.get(TASK_CORES_VARIABLE, "")
    return min(count_cores(), int(given)) if given.isdecimal() and int(given) else count_cores()


@lru_cache(maxsize=1)
def _query_gpus() -> tuple[Gpu, ...]:
    """Return all GPUs of the host that nvidia-smi lists."""
    try:
        process = subprocess.run(
            QUERY_COMMAND, capture_output=True, text=True, timeout=QUERY_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [line.split(",", 2) for line in process.stdout.splitlines() if line.strip()]
    return tuple(Gpu(*(cell.strip() for cell in row)) for row in rows)


def _read_driver_name() -> str | None:
    """Return the name of the first GPU in the driver's files, for hosts without nvidia-smi."""
    for file in sorted(DRIVER_FOLDER.glob("*/information")):
        for line in file.read_text().splitlines():
            field, _, value = line.partition(":")
            if field == "Model":
                return value.strip()
    return None


def _find_gpu(entry: str, gpus: Sequence[Gpu]) -> Gpu | None:
    """Return the GPU that an entry of CUDA_VISIBLE_DEVICES names by its index or the beginning of its uuid."""
    if entry.startswith(PART_PREFIX):
        return Gpu(entry, entry, gpus[0].name if gpus else "")
    for gpu in gpus:
        is_named = entry == gpu.index or (entry.startswith("GPU-") and gpu.uuid.startswith(entry))
        if is_named:
            return gpu
    return None
