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
    """What a time depends on, apart from the networks and models that race: the setting, and the host."""

    measurement: dict[str, Any]
    host: dict[str, Any]


STAGE = StageDeclaration("time", version=3, config=TimeConfig, fixed_seconds=60.0, needs_quiet_host=True)


def time(config: TimeConfig, parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Race the network `parents[0]` against the dense `parents[1]` in fresh processes, alone on this host.

    Where an executor's models were kept, the models of `parents[2]` and `parents[3]` race in their place.
    Races that a busy host made void are run again, at most MAX_RACE_ATTEMPTS times; then the result is stored as void.
    """
    from convarium.measurement.executors.executor_requirements import require_installed
    from convarium.measurement.latency import summarise_races

    require_installed([config.measurement["executor"]])
    networks = [parent.files.network for parent in parents[:2]]
    models = [parent.files.onnx_model for parent in parents[2:]]
    # The network's own file comes last: it says the shape of the images, which a model does not.
    paths = [str(path) for path in (*(models or networks), networks[0])]
    with runtime.hold_host_alone():
        for _ in range(MAX_RACE_ATTEMPTS):
            races = [_run_race(paths, config.measurement, runtime) for _ in range(RACE_PROCESSES)]
            result: dict[str, Any] = summarise_races(races, is_self_race=paths[0] == paths[1])
            if not result["void"]:
                break
    return result


def _run_race(paths: list[str], measurement: Mapping[str, Any], runtime: Runtime) -> dict[str, Any]:
    runtime.check_lease()
    runtime.check_stopped()
    race: dict[str, Any] = runtime.run_fresh("convarium.measurement.latency:race_models", *paths, dict(measurement))
    return race
