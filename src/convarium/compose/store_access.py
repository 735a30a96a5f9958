"""The store of a config, and what could not be read in it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarium.store.store import Store

MAX_ERRORS_SHOWN = 5


def print_unreadable(store: "Store") -> None:
    """Say on stderr what of a store could not be read and was left out."""
    from convarium.store.disk import format_error

    lines = [format_error(error) for error in store.unreadable.values()]
    for line in lines[:MAX_ERRORS_SHOWN]:
        print(f"convarium: {line}; left out here", file=sys.stderr)
    if len(lines) > MAX_ERRORS_SHOWN:
        print(f"convarium: and {len(lines) - MAX_ERRORS_SHOWN} more that can't be read", file=sys.stderr)


def open_store(runtime: Mapping[str, Any]) -> "Store":
    """Return the store of a config's runtime group."""
    from convarium.store.store import Store

    return Store(Path(runtime["store"]))


def count_workers(runtime: Mapping[str, Any]) -> int:
    """Return how many workers a config's runtime group asks for; null is all that can have GPUs, else one a core."""
    from convarium.host.devices import count_task_cores, list_gpus

    if runtime["workers"]:
        return int(runtime["workers"])
    devices = count_devices(runtime)
    workers_with_gpus = len(list_gpus()) // devices if devices else 0
    return workers_with_gpus or count_task_cores()


def count_devices(runtime: Mapping[str, Any]) -> int:
    """Return how many GPUs each worker is to have where there are any; 0 where the accelerator is none."""
    return int(runtime["devices"]) if runtime["accelerator"] in ("auto", "gpu") else 0


def count_threads(runtime: Mapping[str, Any], workers: int, launcher: Mapping[str, Any]) -> int:
    """Return how many threads each worker has: as typed, as a scheduler's launcher asks for a task, or a fair share.

    Args:
        launcher: the composed group `hydra/launcher`.
    """
    from convarium.host.devices import count_task_cores

    return int(runtime["threads"] or launcher.get("cpus_per_task") or max(1, count_task_cores() // workers))
