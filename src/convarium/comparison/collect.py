"""Collect results from a store: those that a plan asks for, or all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convarium.comparison import adopted_config, timings
from convarium.comparison.metric_names import MEASURED_METRICS, TIMED_METRICS
from convarium.comparison.result import DATASET_IDENTITY_KEYS, NetworkResult, Provenance, RefusedPoint
from convarium.comparison.timings import Timing
from convarium.planning.plan import Plan, PlannedPoint
from convarium.stages.measure import STAGE as MEASURE
from convarium.store.signature import canonical_json
from convarium.store.store import Store

StageRecord = Mapping[str, Any]
REFUSAL_KINDS = ("not_reachable", "not_installed", "no_worker")  # the kinds of UserError that are a row's status
VERSIONED_PACKAGES = ("convarium", "torch", "timm")
UNCOMPARED_GROUPS = ("runtime", "tracking", "measurement")


@dataclass(frozen=True)
class CollectedResults:
    """What a store knows of the points asked for.

    Attributes:
        results: the measured points.
        missing_count: how many points are neither measured nor refused.
        refused: the points that can't be made.
        dense_results: the dense networks of `results` that are measured too, asked for or not.
    """

    results: tuple[NetworkResult, ...] = ()
    missing_count: int = 0
    refused: tuple[RefusedPoint, ...] = ()
    dense_results: tuple[NetworkResult, ...] = ()


def collect_plan_results(plan: Plan, store: Store) -> CollectedResults:
    """Return what the store knows of the points of a plan; a search's trial, which is only scored, is not measured."""
    results: list[NetworkResult] = []
    refused: list[RefusedPoint] = []
    dense_results: dict[str, NetworkResult] = {}
    for point in plan.points:
        measure_record = store.find_record(point.measure)
        if measure_record is not None and measure_record["stage"] == MEASURE.name:
            point_timings = timings.read_point_timings(point, store)
            result = _build_result(point.config, point.overrides, measure_record, point_timings, store)
            results.append(replace(result, refusals=_find_timing_refusals(point, store)))
            _add_dense_result(dense_results, measure_record, point_timings, store)
            continue
        reason = _find_refusal(point, plan, store)
        if reason is not None:
            refused.append(RefusedPoint(point.config, point.overrides, point.config["seed"], reason))
    missing_count = len(plan.points) - len(results) - len(refused)
    return CollectedResults(tuple(results), missing_count, tuple(refused), tuple(dense_results.values()))


def collect_store_results(store: Store) -> CollectedResults:
    """Return every measured network of the store, its config read from the records of the stages that made it.

    Latencies are those that can be compared (`timings.read_store_timings`). Where a stage was made in several versions,
    the latest network of a config and seed counts.
    """
    timings_by_network = timings.read_store_timings(store)
    latest_results: dict[tuple[str, int], NetworkResult] = {}
    dense_results: dict[str, NetworkResult] = {}
    measure_records = sorted(store.read_records(MEASURE.name), key=lambda record: str(record["started"]))
    for measure_record in measure_records:
        network = measure_record["parents"][0]
        config = _read_config(network, store, measure_record)
        if config is not None:
            network_timings = timings_by_network.get(network, [])
            result = _build_result(config, (), measure_record, network_timings, store)
            latest_results[result.row_key, result.seed] = result
            _add_dense_result(dense_results, measure_record, network_timings, store)
    return CollectedResults(tuple(latest_results.values()), dense_results=tuple(dense_results.values()))


def _build_result(
    config: Mapping[str, Any],
    overrides: Iterable[str],
    measure_record: StageRecord,
    network_timings: Sequence[Timing],
    store: Store,
) -> NetworkResult:
    network, dense = measure_record["parents"]
    measured = measure_record["result"]
    metrics: dict[str, float | None] = {name: measured["metrics"].get(name) for name in MEASURED_METRICS}
    timing_documents = [timing.to_json(metrics) for timing in network_timings]
    first_timing = timing_documents[0] if timing_documents else {}
    measurement_records = _list_measurement_records(measure_record, network_timings)
    return NetworkResult(
        config={key: value for key, value in config.items() if key not in UNCOMPARED_GROUPS},
        overrides=tuple(overrides),
        signature=network,
        seed=config.get("seed", 0),
        metrics=metrics | {name: first_timing.get(name) for name in TIMED_METRICS},
        correct_hex=measured["correct"],
        image_count=measured["images"],
        is_latency_void=first_timing.get("void", False),
        dense_signature=dense,
        provenance=_build_provenance(measure_record, network_timings, store),
        images_per_class=tuple(measured.get("per_class", {}).get("images", ())),
        # An execution is listed once, though every number of images shares it.
        record_signatures=tuple(dict.fromkeys(record["signature"] for record in measurement_records)),
        timings=tuple(timing_documents),
        coverage=measured.get("coverage"),
        uncovered_shares=measured.get("uncovered", {}),
    )


def _list_measurement_records(measure_record: StageRecord, network_timings: Sequence[Timing]) -> list[StageRecord]:
    return [measure_record, *(record for timing in network_timings for record in timing.records)]


def _add_dense_result(
    dense_results: dict[str, NetworkResult],
    measure_record: StageRecord,
    network_timings: Sequence[Timing],
    store: Store,
) -> None:
    """Add the dense network that a record measures against, if it was measured by the same stages."""
    dense = measure_record["parents"][1]
    if dense in dense_results:
        return
    config = _read_config(dense, store, measure_record)
    dense_record = timings.find_dense_record(measure_record, dense, store)
    if config is None or dense_record is None:
        return
    dense_timings = timings.find_dense_timings(network_timings, dense, store)
    dense_results[dense] = _build_result(config, (), dense_record, dense_timings, store)


def _build_provenance(measure_record: StageRecord, network_timings: Sequence[Timing], store: Store) -> Provenance:
    making_records = store.walk_chain(measure_record["parents"][0])
    versions: set[str] = set()
    for record in [*making_records, *_list_measurement_records(measure_record, network_timings)]:
        package_versions = record.get("versions", {})
        versions |= {f"{name} {package_versions[name]}" for name in VERSIONED_PACKAGES if name in package_versions}
    # The first timing is the one of the table's latency column.
    time_record = network_timings[0].time_record if network_timings else None
    latency_protocol = None
    latency_host = None
    if time_record:
        latency_protocol = canonical_json([time_record["version"], time_record["stage_config"]])
        latency_host = time_record.get("host", {}).get("name")
    return Provenance(
        versions=tuple(sorted(versions)),
        quality_protocol=_format_quality_protocol(measure_record),
        latency_protocol=latency_protocol,
        latency_host=latency_host,
    )


def _format_quality_protocol(measure_record: StageRecord) -> str:
    stage_config = measure_record["stage_config"]
    dataset = stage_config.get("dataset", {})
    protocol = {
        "version": measure_record["version"],
        "task": stage_config.get("task"),
        # Which data it was has an audit code of its own, "other_data".
        "data": {key: value for key, value in dataset.items() if key not in DATASET_IDENTITY_KEYS},
    }
    return canonical_json(protocol)


def _read_config(network: str, store: Store, measure_record: StageRecord) -> dict[str, Any] | None:
    """Read a network's config from its chain of stages and `measure_record`; None where a part of the chain is gone."""
    chain = list(store.walk_chain(network))
    if not chain or chain[-1]["parents"]:
        return None
    first_record = chain[-1]
    if first_record["stage"] == "adopt":
        dense_config = adopted_config.derive_adopted_config(chain, measure_record["stage_config"]["dataset"])
    else:
        dense_config = first_record["stage_config"]
    config = {**dense_config, "compression": []}
    for record in reversed(chain[:-1]):
        references = record["parents"][1:]  # the first parent is the network that the step starts from
        step = dict(record["stage_config"]["step"])
        if references:
            knobs = record["stage_config"].get("references") or map(str, range(len(references)))
            step["references"] = {
                knob: _describe_reference(reference, config.get("seed"), store, measure_record)
                for knob, reference in zip(knobs, references, strict=True)
            }
        config["compression"].append(step)
    return config


def _describe_reference(network: str, seed: int | None, store: Store, measure_record: StageRecord) -> Any:
    """Return a reference's config, its seed None where that is `seed`, so that the seeds of a row have it in common.

    Its signature stands for a reference of which a part of the chain is gone.
    """
    config = _read_config(network, store, measure_record)
    if config is None:
        return network
    if config.get("seed") == seed:
        config["seed"] = None
    return config


def _find_timing_refusals(point: PlannedPoint, store: Store) -> tuple[str, ...]:
    """Return why a measured point lacks times or executions, each reason once."""
    failures = [store.find_failure(signature) for signature in (*point.executions, *point.times)]
    reasons = [str(one["error"]) for one in failures if one is not None and one.get("kind") in REFUSAL_KINDS]
    return tuple(dict.fromkeys(reasons))


def _find_refusal(point: PlannedPoint, plan: Plan, store: Store) -> str | None:
    """Return why a point can't be made: the recorded failure of its network's stage or of one before it."""
    signatures_to_visit = [point.network]
    while signatures_to_visit:
        signature = signatures_to_visit.pop()
        failure = store.find_failure(signature)
        if failure is not None and failure.get("kind") in REFUSAL_KINDS:
            return str(failure["error"])
        if signature in plan.nodes:
            signatures_to_visit += plan.nodes[signature].parents
    return None
