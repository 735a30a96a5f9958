"""Time a network against its dense one on this host."""

from collections.abc import Mapping
from typing import Any

from convarium.store.runtime import Parent, Runtime

PROCESSES = 3
ATTEMPTS = 3


def time(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Race `parents[0]` against the dense `parents[1]` in fresh processes, alone among all that time on this host.

    Where their executor's models were kept, those of `parents[2]` and `parents[3]` race.

    A race that a busy machine made void is run again, at most three times; then the result is stored as void.
    """
    from convarium.measurement.exclusive import host_clock
    from convarium.measurement.executors.installed import require
    from convarium.measurement.latency import summary

    require([own["measurement"]["executor"]])
    files = [parent.folder / ("network.cvm" if place < 2 else "model.onnx") for place, parent in enumerate(parents)]
    paths = [str(file) for file in (*files[-2:], files[0])]
    itself = paths[0] == paths[1]
    result: dict[str, Any] = {"void": True}
    with host_clock(runtime.check):
        for _ in range(ATTEMPTS):
            if result["void"]:
                result = summary([_race(paths, own["measurement"], runtime) for _ in range(PROCESSES)], itself)
    return result


def _race(paths: list[str], measurement: Mapping[str, Any], runtime: Runtime) -> dict[str, Any]:
    runtime.check()
    race: dict[str, Any] = runtime.fresh("convarium.measurement.latency:race", *paths, dict(measurement))
    return race
