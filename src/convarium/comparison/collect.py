"""Results from a store: those that a plan asks for, or all of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convarium.comparison import adopted, timings
from convarium.comparison.result import MEASURED, TIMED, Facts, Refused, Result
from convarium.comparison.timings import Timing
from convarium.store.plan import Plan, PlannedPoint
from convarium.store.signature import canonical_json
from convarium.store.store import Store

Done = Mapping[str, Any]
REFUSALS = ("not_reachable", "not_installed")
VERSIONS = ("convarium", "torch", "timm")
DATA = ("name", "fingerprint", "train_size")


@dataclass(frozen=True)
class Collected:
    """What a store knows of the points asked for.

    Attributes:
        results: the measured points.
        missing: how many are neither measured nor refused.
        refused: the points that can't be made.
        references: the dense networks of `results` that are measured too, asked for or not.
    """

    results: tuple[Result, ...] = ()
    missing: int = 0
    refused: tuple[Refused, ...] = ()
    references: tuple[Result, ...] = ()


def collect(plan: Plan, store: Store) -> Collected:
    """Return what is known of the points of a plan."""
    results: list[Result] = []
    refused: list[Refused] = []
    references: dict[str, Result] = {}
    for point in plan.points:
        done = store.done(point.measure)
        if done is not None:
            timed = timings.asked(point, store)
            results.append(_result(point.config, point.overrides, done, timed, store))
            _refer(references, done, timed, store)
        elif (reason := _refusal(point, plan, store)) is not None:
            refused.append(Refused(point.config, point.overrides, point.config["seed"], reason))
    missing = len(plan.points) - len(results) - len(refused)
    return Collected(tuple(results), missing, tuple(refused), tuple(references.values()))


def collect_all(store: Store) -> Collected:
    """Return every measured network of the store, its config read off the stages that made it.

    Latencies are those that can be compared (`timings.stored`). Where a stage was made in several versions, the latest
    network of a config and seed counts.
    """
    times = timings.stored(store)
    latest: dict[tuple[str, int], Result] = {}
    references: dict[str, Result] = {}
    for done in sorted(store.results("measure"), key=lambda done: str(done["started"])):
        network = done["parents"][0]
        config = _config(network, store, done)
        if config is not None:
            timed = times.get(network, [])
            result = _result(config, (), done, timed, store)
            latest[result.row, result.seed] = result
            _refer(references, done, timed, store)
    return Collected(tuple(latest.values()), references=tuple(references.values()))


def _result(
    config: Mapping[str, Any], overrides: Iterable[str], done: Done, timed: Sequence[Timing], store: Store
) -> Result:
    measured = done["result"]
    metrics: dict[str, float | None] = {name: measured["metrics"].get(name) for name in MEASURED}
    shown = [timing.shown(metrics) for timing in timed]
    latency = shown[0] if shown else {}
    network, dense = done["parents"]
    return Result(
        config={key: value for key, value in config.items() if key not in ("runtime", "tracking", "measurement")},
        overrides=tuple(overrides),
        signature=network,
        seed=config.get("seed", 0),
        metrics=metrics | {name: latency.get(name) for name in TIMED},
        correct=measured["correct"],
        images=measured["images"],
        void=latency.get("void", False),
        dense=dense,
        facts=_facts(done, timed, store),
        class_images=tuple(measured.get("per_class", {}).get("images", ())),
        records=tuple(dict.fromkeys(record["signature"] for record in _records(done, timed))),
        timings=tuple(shown),
        coverage=measured.get("coverage"),
        uncovered=measured.get("uncovered", {}),
    )


def _records(done: Done, timed: Sequence[Timing]) -> list[Done]:
    return [done, *(record for timing in timed for record in timing.records)]


def _refer(references: dict[str, Result], done: Done, timed: Sequence[Timing], store: Store) -> None:
    """Add the dense network of a measured one, if it was measured by the same stages."""
    dense = done["parents"][1]
    config, measured = _config(dense, store, done), timings.same(done, dense, store)
    if dense not in references and config is not None and measured is not None:
        references[dense] = _result(config, (), measured, timings.of_dense(timed, dense, store), store)


def _facts(done: Done, timed: Sequence[Timing], store: Store) -> Facts:
    records = [*made_by(done["parents"][0], store), *_records(done, timed)]
    first = timed[0].time if timed else None
    found = {f"{name} {record['versions'][name]}" for record in records for name in VERSIONS if _has(record, name)}
    data = done["stage_config"].get("dataset", {})
    how = {"version": done["version"], "task": done["stage_config"].get("task")}
    return Facts(
        versions=tuple(sorted(found)),
        protocol=canonical_json({**how, "data": {key: data[key] for key in data if key not in DATA}}),
        timing=canonical_json([first["version"], first["stage_config"]]) if first else None,
        host=first.get("host", {}).get("name") if first else None,
    )


def _has(record: Done, name: str) -> bool:
    return name in record.get("versions", {})


def made_by(network: str, store: Store) -> Iterator[Done]:
    """Yield the records of the stages that made a network, last first, as far as they are stored."""
    done = store.done(network)
    while done is not None:
        yield done
        done = store.done(done["parents"][0]) if done["stage"] == "compress" else None


def _config(network: str, store: Store, measured: Done) -> dict[str, Any] | None:
    """Read a config off the chain of stages, and off `measured`; None where a part of the chain is gone."""
    chain = list(made_by(network, store))
    if not chain or chain[-1]["stage"] == "compress":
        return None
    begun = (
        adopted.config(chain, measured["stage_config"]["dataset"])
        if chain[-1]["stage"] == "adopt"
        else chain[-1]["stage_config"]
    )
    return {**begun, "compression": [_step(done) for done in reversed(chain[:-1])]}


def _step(done: Done) -> dict[str, Any]:
    others = done["parents"][1:]
    return {**done["stage_config"]["step"], **({"references": others} if others else {})}


def _refusal(point: PlannedPoint, plan: Plan, store: Store) -> str | None:
    """Return why a point can't be made: what stands in its way is its network's stage or one before it."""
    left = [point.network]
    while left:
        node = left.pop()
        failed = store.failed(node)
        if failed is not None and failed.get("kind") in REFUSALS:
            return str(failed["error"])
        left += plan.nodes[node].parents if node in plan.nodes else ()
    return None
