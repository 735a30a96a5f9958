"""Timings of a network under each executor: latency for each number of images per pass, and quality."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convarium.comparison.metric_names import TIMED_METRICS
from convarium.planning.plan import PlannedPoint
from convarium.stages import timing_config
from convarium.store.signature import canonical_json, compute_signature
from convarium.store.store import Store

Json = dict[str, Any]
StageRecord = Mapping[str, Any]
SETTING_KEYS = ("executor", "batch", "threads", "device")
EXECUTION_METRICS = ("accuracy", "validation_accuracy", "agreement", "model_bytes")
EXECUTOR_METRICS = TIMED_METRICS + EXECUTION_METRICS


@dataclass(frozen=True)
class Timing:
    """A network's records for one setting: of the stage `time`, and of the stage `execute` under the same executor.

    Attributes:
        setting: executor, batch (images per pass), threads, and the device where it is not the CPU.
    """

    setting: Mapping[str, Any]
    time_record: StageRecord | None
    execution_record: StageRecord | None

    @property
    def records(self) -> list[StageRecord]:
        """The records that are stored, time first."""
        return [record for record in (self.time_record, self.execution_record) if record is not None]

    @property
    def is_void(self) -> bool:
        """Whether the machine was too busy for a valid latency."""
        return bool(self.time_record and self.time_record["result"]["void"])

    def to_json(self, measured_metrics: Mapping[str, Any]) -> Json:
        """Return the timing as JSON, a void latency as None.

        Args:
            measured_metrics: metrics of the stage `measure`, which runs the file itself under the eager executor.
        """
        executor = self.setting["executor"]
        timed: Mapping[str, Any] = {"metrics": {}}
        if self.time_record and not self.is_void:
            timed = self.time_record["result"]
        quality: Mapping[str, Any] = {}
        if self.execution_record:
            quality = self.execution_record["result"]["metrics"]
        elif executor == timing_config.EAGER_EXECUTOR:
            quality = {**measured_metrics, "agreement": 1.0}
        return {
            "device": "cpu",
            **self.setting,
            **{key: timed["metrics"].get(key) for key in TIMED_METRICS},
            "speedup_range": timed.get("speedup_range"),
            "void": self.is_void,
            "quantized_by": timing_config.find_quantizer(executor),
            **{key: quality.get(key) for key in EXECUTION_METRICS},
        }


def read_point_timings(point: PlannedPoint, store: Store) -> list[Timing]:
    """Return the timings that a point asks for, in its order, with the records that are stored."""
    execution_records: dict[str, StageRecord] = {}
    for signature in point.executions:
        execution_record = store.find_record(signature)
        if execution_record:
            execution_records[execution_record["stage_config"]["executor"]] = execution_record
    settings = timing_config.list_time_settings(point.config) if point.times else []
    return [
        Timing(setting, store.find_record(signature), execution_records.get(setting["executor"]))
        for setting, signature in zip(settings, point.times, strict=True)
    ]


def read_store_timings(store: Store) -> dict[str, list[Timing]]:
    """Return all timings of a store by network, eager first, fewest images first.

    Of each setting only those count that were taken like the latest one, on the same host and with the same version of
    the executor: latencies of other hosts or versions can't be compared with them.
    """
    execution_records: dict[tuple[str, str], StageRecord] = {}
    for record in _read_records_by_age(store, "execute"):
        execution_records[record["parents"][0], record["stage_config"]["executor"]] = record
    time_records = _read_records_by_age(store, "time")
    latest_configs = {_get_setting_key(record): canonical_json(record["stage_config"]) for record in time_records}
    timings: dict[tuple[str, str], Timing] = {}
    for record in time_records:
        setting_key = _get_setting_key(record)
        if canonical_json(record["stage_config"]) != latest_configs[setting_key]:
            continue
        network = record["parents"][0]
        setting = record["stage_config"]["measurement"]
        timings[network, setting_key] = Timing(setting, record, execution_records.get((network, setting["executor"])))
    timings_by_network: dict[str, list[Timing]] = {}
    for (network, _), timing in sorted(timings.items(), key=lambda item: _get_sort_key(item[1].setting)):
        timings_by_network.setdefault(network, []).append(timing)
    return timings_by_network


def find_dense_timings(timings: Iterable[Timing], dense: str, store: Store) -> list[Timing]:
    """Return the timings of the dense network itself, measured by the same stages as `timings`."""
    return [
        Timing(
            timing.setting,
            find_dense_record(timing.time_record, dense, store),
            find_dense_record(timing.execution_record, dense, store),
        )
        for timing in timings
    ]


def find_dense_record(record: StageRecord | None, dense: str, store: Store) -> StageRecord | None:
    """Return the record of the same stage for the dense network itself.

    A stage's parents are pairs, one of the network and one of the dense network; an execution has one parent only.
    """
    if record is None:
        return None
    if record["stage"] == "execute":
        parents: tuple[str, ...] = (dense,)
    else:
        # The dense network is its own dense network, so each pair is twice the second of the record's.
        parents = tuple(parent for parent in record["parents"][1::2] for _ in range(2))
    signature = compute_signature(
        record["stage"], record["version"], record["stage_config"], parents, record["fingerprint"]
    )
    return store.find_record(signature)


def average_row_timings(results: Sequence[Sequence[Mapping[str, Any]]]) -> list[Json]:
    """Return the means over seeds, setting by setting; `speedup_range` is the range over seeds and processes.

    Where some seeds are void the means are of the others.

    Args:
        results: for each seed, its timings as `Timing.to_json` returns them.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for timings in results:
        for timing in timings:
            setting_key = canonical_json([timing[key] for key in SETTING_KEYS])
            groups.setdefault(setting_key, []).append(timing)
    return [_average_timings(group) for group in groups.values()]


def _average_timings(group: Sequence[Mapping[str, Any]]) -> Json:
    first_timing = group[0]
    range_bounds = [bound for timing in group for bound in timing["speedup_range"] or ()]
    return {
        **{key: first_timing[key] for key in SETTING_KEYS},
        **{key: _average_figure(group, key) for key in TIMED_METRICS},
        "speedup_range": [min(range_bounds), max(range_bounds)] if range_bounds else None,
        "void": any(timing["void"] for timing in group),
        "quantized_by": first_timing["quantized_by"],
        **{key: _average_figure(group, key) for key in EXECUTION_METRICS},
    }


def _average_figure(group: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [timing[key] for timing in group if timing[key] is not None]
    return float(np.mean(values)) if values else None


def _read_records_by_age(store: Store, stage: str) -> list[StageRecord]:
    return sorted(store.read_records(stage), key=lambda record: str(record["started"]))


def _get_setting_key(record: StageRecord) -> str:
    return canonical_json(record["stage_config"]["measurement"])


def _get_sort_key(setting: Mapping[str, Any]) -> tuple[bool, str, int, int]:
    return (
        setting["executor"] != timing_config.EAGER_EXECUTOR,
        setting["executor"],
        setting["batch"],
        setting["threads"],
    )
