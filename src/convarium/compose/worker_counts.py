"""How many workers a config's runtime group asks for, and what each gets of its host."""

from collections.abc import Mapping
from typing import Any

from convarium.host.devices import count_task_cores, list_gpus

WORKERS_ELSEWHERE = 8  # of this host's cores and GPUs nothing follows for them


def count_workers(runtime: Mapping[str, Any], is_launched_here: bool) -> int:
    """Return how many workers a config's runtime group asks for.

    Null is all that can have GPUs; without GPUs each device is a core; on other hosts WORKERS_ELSEWHERE.

    Args:
        is_launched_here: whether they start on this host.
    """
    if runtime["workers"]:
        return int(runtime["workers"])
    if not is_launched_here:
        return WORKERS_ELSEWHERE
    devices = count_devices(runtime)
    workers_with_gpus = len(list_gpus()) // devices if devices else 0
    return workers_with_gpus or max(1, count_task_cores() // int(runtime["devices"]))


def count_devices(runtime: Mapping[str, Any]) -> int:
    """Return how many GPUs each worker is to have where there are any; 0 where the accelerator is none."""
    return int(runtime["devices"]) if runtime["accelerator"] in ("auto", "gpu") else 0


def count_threads(runtime: Mapping[str, Any], workers: int, launcher: Mapping[str, Any]) -> int:
    """Return how many threads each worker has: as typed, as a scheduler's launcher asks for a task, or a fair share.

    Args:
        launcher: the composed group `hydra/launcher`.
    """
    return int(runtime["threads"] or launcher.get("cpus_per_task") or max(1, count_task_cores() // workers))
