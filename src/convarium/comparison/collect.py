"""Results from a store: those that a plan asks for, or all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convarium.comparison import adopted_config, timings
from convarium.comparison.result import MEASURED_METRICS, TIMED_METRICS, NetworkResult, Provenance, RefusedPoint
from convarium.comparison.timings import Timing
from convarium.planning.plan import Plan, PlannedPoint
from convarium.store.signature import canonical_json
from convarium.store.store import Store

StageRecord = Mapping[str, Any]
REFUSAL_KINDS = ("not_reachable", "not_installed")
VERSIONED_PACKAGES = ("convarium", "torch", "timm")
DATASET_IDENTITY_KEYS = ("name", "fingerprint", "train_size")


@dataclass(frozen=True)
class CollectedResults:
    """What a store knows of the points asked for.

    Attributes:
        results: the measured points.
        missing_count: how many are neither measured nor refused.
        refused: the points that can't be made.
        dense_results: the dense networks of `results` that are measured too, asked for or not.
    """

    results: tuple[NetworkResult, ...] = ()
    missing_count: int = 0
    refused: tuple[RefusedPoint, ...] = ()
    dense_results: tuple[NetworkResult, ...] = ()


def collect_plan_results(plan: Plan, store: Store) -> CollectedResults:
    """Return what is known of the points of a plan."""
    results: list[NetworkResult] = []
    refused: list[RefusedPoint] = []
    references: dict[str, NetworkResult] = {}
    for point in plan.points:
        done = store.find_record(point.measure)
        if done is not None:
            timed = timings.read_point_timings(point, store)
            results.append(_build_result(point.config, point.overrides, done, timed, store))
            _add_dense_result(references, done, timed, store)
        elif (reason := _find_refusal(point, plan, store)) is not None:
            refused.append(RefusedPoint(point.config, point.overrides, point.config["seed"], reason))
    missing = len(plan.points) - len(results) - len(refused)
    return CollectedResults(tuple(results), missing, tuple(refused), tuple(references.values()))


def collect_store_results(store: Store) -> CollectedResults:
    """Return every measured network of the store, its config read off the stages that made it.

    Latencies are those that can be compared (`timings.read_store_timings`). Where a stage was made in several versions,
    the latest network of a config and seed counts.
    """
    times = timings.read_store_timings(store)
    latest: dict[tuple[str, int], NetworkResult] = {}
    references: dict[str, NetworkResult] = {}
    for done in sorted(store.read_records("measure"), key=lambda done: str(done["started"])):
        network = done["parents"][0]
        config = _read_config(network, store, done)
        if config is not None:
            timed = times.get(network, [])
            result = _build_result(config, (), done, timed, store)
            latest[result.row_key, result.seed] = result
            _add_dense_result(references, done, timed, store)
    return CollectedResults(tuple(latest.values()), dense_results=tuple(references.values()))


def _build_result(
    config: Mapping[str, Any],
    overrides: Iterable[str],
    measure_record: StageRecord,
    point_timings: Sequence[Timing],
    store: Store,
) -> NetworkResult:
    measured = measure_record["result"]
    metrics: dict[str, float | None] = {name: measured["metrics"].get(name) for name in MEASURED_METRICS}
    shown = [timing.to_json(metrics) for timing in point_timings]
    latency = shown[0] if shown else {}
    network, dense = measure_record["parents"]
    return NetworkResult(
        config={key: value for key, value in config.items() if key not in ("runtime", "tracking", "measurement")},
        overrides=tuple(overrides),
        signature=network,
        seed=config.get("seed", 0),
        metrics=metrics | {name: latency.get(name) for name in TIMED_METRICS},
        correct_hex=measured["correct"],
        image_count=measured["images"],
        is_latency_void=latency.get("void", False),
        dense_signature=dense,
        provenance=_build_provenance(measure_record, point_timings, store),
        images_per_class=tuple(measured.get("per_class", {}).get("images", ())),
        record_signatures=tuple(
            dict.fromkeys(record["signature"] for record in _list_measurement_records(measure_record, point_timings))
        ),
        timings=tuple(shown),
        coverage=measured.get("coverage"),
        uncovered_shares=measured.get("uncovered", {}),
    )


def _list_measurement_records(measure_record: StageRecord, point_timings: Sequence[Timing]) -> list[StageRecord]:
    return [measure_record, *(record for timing in point_timings for record in timing.records)]


def _add_dense_result(
    dense_results: dict[str, NetworkResult], measure_record: StageRecord, point_timings: Sequence[Timing], store: Store
) -> None:
    """Add the dense network of a measured one, if it was measured by the same stages."""
    dense = measure_record["parents"][1]
    config, measured = (
        _read_config(dense, store, measure_record),
        timings.find_dense_record(measure_record, dense, store),
    )
    if dense not in dense_results and config is not None and measured is not None:
        dense_results[dense] = _build_result(
            config, (), measured, timings.find_dense_timings(point_timings, dense, store), store
        )


def _build_provenance(measure_record: StageRecord, point_timings: Sequence[Timing], store: Store) -> Provenance:
    records = [
        *store.walk_chain(measure_record["parents"][0]),
        *_list_measurement_records(measure_record, point_timings),
    ]
    first = point_timings[0].time_record if point_timings else None
    found = {
        f"{name} {record['versions'][name]}"
        for record in records
        for name in VERSIONED_PACKAGES
        if _has_version(record, name)
    }
    data = measure_record["stage_config"].get("dataset", {})
    how = {"version": measure_record["version"], "task": measure_record["stage_config"].get("task")}
    return Provenance(
        versions=tuple(sorted(found)),
        quality_protocol=canonical_json(
            {**how, "data": {key: data[key] for key in data if key not in DATASET_IDENTITY_KEYS}}
        ),
        latency_protocol=canonical_json([first["version"], first["stage_config"]]) if first else None,
        latency_host=first.get("host", {}).get("name") if first else None,
    )


def _has_version(record: StageRecord, package: str) -> bool:
    return package in record.get("versions", {})


def _read_config(network: str, store: Store, measure_record: StageRecord) -> dict[str, Any] | None:
    """Read a config off the chain of stages, and off `measure_record`; None where a part of the chain is gone."""
    chain = list(store.walk_chain(network))
    if not chain or chain[-1]["parents"]:
        return None
    begun = (
        adopted_config.derive_adopted_config(chain, measure_record["stage_config"]["dataset"])
        if chain[-1]["stage"] == "adopt"
        else chain[-1]["stage_config"]
    )
    return {**begun, "compression": [_get_step_with_references(done) for done in reversed(chain[:-1])]}


def _get_step_with_references(record: StageRecord) -> dict[str, Any]:
    others = record["parents"][1:]
    return {**record["stage_config"]["step"], **({"references": others} if others else {})}


def _find_refusal(point: PlannedPoint, plan: Plan, store: Store) -> str | None:
    """Return why a point can't be made: what stands in its way is its network's stage or one before it."""
    left = [point.network]
    while left:
        node = left.pop()
        failed = store.find_failure(node)
        if failed is not None and failed.get("kind") in REFUSAL_KINDS:
            return str(failed["error"])
        left += plan.nodes[node].parents if node in plan.nodes else ()
    return None
