"""Whether a scheduler's profile gives each worker as many devices as it is to have."""

import re
from collections.abc import Mapping
from typing import Any

from convarium.errors import UserError

GPU_KEYS = ("gpus_per_task", "gpus_per_node")


def check_task_devices(runtime: Mapping[str, Any], launcher: Mapping[str, Any]) -> None:
    """Check `runtime.devices` against what a launcher asks a scheduler for; a launcher of this host asks for nothing.

    Args:
        runtime: a config's group.
        launcher: the composed group `hydra/launcher`.

    Raises:
        UserError: a worker is to have more devices than its task gets.
    """
    devices, cores = int(runtime["devices"]), launcher.get("cpus_per_task")
    if devices == 1 or cores is None:
        return
    gpu_count = 0 if runtime["accelerator"] == "cpu" else _count_task_gpus(launcher)
    if gpu_count:
        if gpu_count < devices:
            raise UserError(
                f"runtime.devices={devices}: hydra.launcher asks for {gpu_count} of them for a task; set"
                f" hydra.launcher.gpus_per_node={devices}"
            )
    elif int(cores) < devices:
        raise UserError(
            f"runtime.devices={devices}: without GPUs each is a core, and hydra.launcher asks for {cores} for a task;"
            f" set hydra.launcher.cpus_per_task={devices}, or gpus_per_node"
        )


def _count_task_gpus(launcher: Mapping[str, Any]) -> int:
    """Return how many GPUs a task is asked for with: `2`, `a100:2`, or among `gres` as `gpu:a100:2`."""
    counts = [str(launcher[key]).rpartition(":")[2] for key in GPU_KEYS if launcher.get(key)]
    for resource in str(launcher.get("gres") or "").split(","):
        kind, _, rest = resource.partition(":")
        if kind == "gpu":
            counts.append(rest.rpartition(":")[2] if re.search(r"\d+$", rest) else "1")
    return max((int(count) if count.isdecimal() else 1 for count in counts), default=0)
