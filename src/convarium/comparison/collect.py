"""Results from a store: those that a plan asks for, or all of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from convarium.comparison.result import MEASURED, TIMED, Result
from convarium.store.plan import Plan, PlannedPoint
from convarium.store.signature import canonical_json
from convarium.store.store import Store

Done = Mapping[str, Any]


def collect(plan: Plan, store: Store) -> tuple[list[Result], int]:
    """Return the measured points of a plan, and how many are not measured yet."""
    found = [_planned(point, store) for point in plan.points]
    results = [result for result in found if result is not None]
    return results, len(found) - len(results)


def collect_all(store: Store) -> list[Result]:
    """Return every measured network of the store, its config read off the stages that made it.

    Of latencies those count that were taken with the settings, and on the host, of the latest one: others can't be
    compared with them. Where a stage was made in several versions, the latest network of a config and seed counts.
    """
    times = _comparable_times(store.results("time"))
    latest: dict[tuple[str, int], Result] = {}
    for done in sorted(store.results("measure"), key=lambda done: str(done["started"])):
        network = done["parents"][0]
        config = _config(network, store)
        if config is not None:
            result = _result(config, (), network, done, times.get(network))
            latest[result.row, result.seed] = result
    return list(latest.values())


def _planned(point: PlannedPoint, store: Store) -> Result | None:
    done = store.done(point.measure)
    if done is None:
        return None
    timed = store.done(point.time) if point.time else None
    return _result(point.config, point.overrides, point.network, done, timed)


def _result(
    config: Mapping[str, Any], overrides: Iterable[str], network: str, done: Done, timed: Done | None
) -> Result:
    measured = done["result"]
    metrics: dict[str, float | None] = {name: measured["metrics"].get(name) for name in MEASURED}
    void = bool(timed and timed["result"]["void"])
    timings = timed["result"]["metrics"] if timed and not void else {}
    return Result(
        config={key: value for key, value in config.items() if key not in ("runtime", "tracking", "measurement")},
        overrides=tuple(overrides),
        signature=network,
        seed=config["seed"],
        metrics=metrics | {name: timings.get(name) for name in TIMED},
        correct=measured["correct"],
        images=measured["images"],
        void=void,
    )


def _config(signature: str, store: Store) -> dict[str, Any] | None:
    """Follow the chain of stages back to the training; None where a part of the chain is no longer stored."""
    steps: list[Mapping[str, Any]] = []
    done = store.done(signature)
    while done is not None and done["stage"] == "compress":
        others = done["parents"][1:]
        steps.insert(0, {**done["own"]["step"], **({"references": others} if others else {})})
        done = store.done(done["parents"][0])
    return None if done is None else {**done["own"], "compression": steps}


def _comparable_times(results: Iterable[Done]) -> dict[str, Done]:
    ordered = sorted(results, key=lambda done: str(done["started"]))
    if not ordered:
        return {}
    own = canonical_json(ordered[-1]["own"])
    return {done["parents"][0]: done for done in ordered if canonical_json(done["own"]) == own}
