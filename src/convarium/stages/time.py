"""Time a network against its dense one on this host."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convarium.stages.declaration import StageConfig, StageDeclaration
from convarium.workers.runtime import Parent, Runtime

RACE_PROCESSES = 3
MAX_RACE_ATTEMPTS = 3


@dataclass(frozen=True)
class TimeConfig(StageConfig):
    """What a time depends on, beside the networks and models that race: the setting, and the host."""

    measurement: dict[str, Any]
    host: dict[str, Any]


STAGE = StageDeclaration("time", version=3, config=TimeConfig, fixed_seconds=60.0, needs_quiet_host=True)


def time(stage_config: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Race `parents[0]` against the dense `parents[1]` in fresh processes, alone among all that time on this host.

    Where their executor's models were kept, those of `parents[2]` and `parents[3]` race.

    A race that a busy machine made void is run again, at most three times; then the result is stored as void.
    """
    from convarium.host.timing_lock import hold_timing_lock
    from convarium.measurement.executors.executor_requirements import require_installed
    from convarium.measurement.latency import summarise_races

    require_installed([stage_config["measurement"]["executor"]])
    files = [*(one.files.network for one in parents[:2]), *(one.files.onnx_model for one in parents[2:])]
    paths = [str(file) for file in (*files[-2:], files[0])]
    itself = paths[0] == paths[1]
    result: dict[str, Any] = {"void": True}
    with hold_timing_lock(runtime.check_lease):
        for _ in range(MAX_RACE_ATTEMPTS):
            if result["void"]:
                result = summarise_races(
                    [_run_race(paths, stage_config["measurement"], runtime) for _ in range(RACE_PROCESSES)], itself
                )
    return result


def _run_race(paths: list[str], measurement: Mapping[str, Any], runtime: Runtime) -> dict[str, Any]:
    runtime.check_lease()
    race: dict[str, Any] = runtime.run_fresh("convarium.measurement.latency:race_models", *paths, dict(measurement))
    return race
