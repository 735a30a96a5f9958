"""What is known of a network under each executor: its latency with each number of images a pass, and its quality."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convarium.planning.plan import PlannedPoint
from convarium.stages import timing_config
from convarium.store.signature import canonical_json, compute_signature
from convarium.store.store import Store

Json = dict[str, Any]
StageRecord = Mapping[str, Any]
SETTING_KEYS = ("executor", "batch", "threads", "device")
TIMING_METRICS = ("latency_ms", "speedup", "peak_memory_bytes")
EXECUTION_METRICS = ("accuracy", "validation_accuracy", "agreement", "model_bytes")
EXECUTOR_METRICS = TIMING_METRICS + EXECUTION_METRICS


@dataclass(frozen=True)
class Timing:
    """A network's records for one executor and number of images: of its time, of its quality under the executor."""

    setting: Mapping[str, Any]
    time_record: StageRecord | None
    execution_record: StageRecord | None

    @property
    def records(self) -> list[StageRecord]:
        """Those of the two that there are."""
        return [record for record in (self.time_record, self.execution_record) if record is not None]

    @property
    def is_void(self) -> bool:
        """Whether the machine was too busy to say how long it takes."""
        return bool(self.time_record and self.time_record["result"]["void"])

    def to_json(self, measured_metrics: Mapping[str, Any]) -> Json:
        """Return it as JSON, a void latency as None. Eager's quality is `measured_metrics`, of the file itself."""
        timed = self.time_record["result"] if self.time_record and not self.is_void else {"metrics": {}}
        eager = (
            {**measured_metrics, "agreement": 1.0} if self.setting["executor"] == timing_config.EAGER_EXECUTOR else {}
        )
        quality = self.execution_record["result"]["metrics"] if self.execution_record else eager
        return {
            **{"device": "cpu", **self.setting},
            **{key: timed["metrics"].get(key) for key in TIMING_METRICS},
            "speedup_range": timed.get("speedup_range"),
            "void": self.is_void,
            "quantized_by": timing_config.find_quantizer(self.setting["executor"]),
            **{key: quality.get(key) for key in EXECUTION_METRICS},
        }


def read_point_timings(point: PlannedPoint, store: Store) -> list[Timing]:
    """Return what is stored of what a point wants timed, in its order."""
    executions = {
        done["stage_config"]["executor"]: done for one in point.executions if (done := store.find_record(one))
    }
    settings = timing_config.list_time_settings(point.config) if point.times else []
    return [
        Timing(setting, store.find_record(time), executions.get(setting["executor"]))
        for setting, time in zip(settings, point.times, strict=True)
    ]


def read_store_timings(store: Store) -> dict[str, list[Timing]]:
    """Return all timings of a store by network, eager first, fewest images first.

    Those count that were taken like the latest of the same executor, images and threads: on the same host, by the same
    version; others can't be compared with them.
    """
    executions = {
        (done["parents"][0], done["stage_config"]["executor"]): done for done in _read_records_by_age(store, "execute")
    }
    found: dict[tuple[str, str], Timing] = {}
    times = _read_records_by_age(store, "time")
    latest = {_get_setting_key(done): canonical_json(done["stage_config"]) for done in times}
    for done in times:
        network, setting = done["parents"][0], done["stage_config"]["measurement"]
        if canonical_json(done["stage_config"]) == latest[_get_setting_key(done)]:
            execution = executions.get((network, setting["executor"]))
            found[network, _get_setting_key(done)] = Timing(setting, done, execution)
    result: dict[str, list[Timing]] = {}
    for (network, _), timing in sorted(found.items(), key=lambda item: _get_sort_key(item[1].setting)):
        result.setdefault(network, []).append(timing)
    return result


def find_dense_timings(timings: Iterable[Timing], dense: str, store: Store) -> list[Timing]:
    """Return the records of the same stages for the dense network itself."""
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

    A stage's parents are pairs, what is of the network and what is of the dense one; an execution has one parent.
    """
    if record is None:
        return None
    parents = (
        (dense,) if record["stage"] == "execute" else tuple(one for one in record["parents"][1::2] for _ in range(2))
    )
    return store.find_record(
        compute_signature(record["stage"], record["version"], record["stage_config"], parents, record["fingerprint"])
    )


def average_row_timings(results: Sequence[Sequence[Mapping[str, Any]]]) -> list[Json]:
    """Return the means over seeds, setting by setting; `speedup_range` is the range over seeds and processes.

    Where some seeds are void the means are of the others.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for timing in (timing for timings in results for timing in timings):
        groups.setdefault(canonical_json([timing[key] for key in SETTING_KEYS]), []).append(timing)
    return [_average_timings(group) for group in groups.values()]


def _average_timings(group: Sequence[Mapping[str, Any]]) -> Json:
    ends = [end for timing in group for end in timing["speedup_range"] or ()]
    means = {
        key: _average_or_none([timing[key] for timing in group if timing[key] is not None]) for key in EXECUTOR_METRICS
    }
    return {
        **{key: group[0][key] for key in SETTING_KEYS},
        **{key: means[key] for key in TIMING_METRICS},
        "speedup_range": [min(ends), max(ends)] if ends else None,
        "void": any(timing["void"] for timing in group),
        "quantized_by": group[0]["quantized_by"],
        **{key: means[key] for key in EXECUTION_METRICS},
    }


def _average_or_none(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _read_records_by_age(store: Store, stage: str) -> list[StageRecord]:
    return sorted(store.read_records(stage), key=lambda done: str(done["started"]))


def _get_setting_key(record: StageRecord) -> str:
    return canonical_json(record["stage_config"]["measurement"])


def _get_sort_key(setting: Mapping[str, Any]) -> tuple[bool, str, int, int]:
    return (
        setting["executor"] != timing_config.EAGER_EXECUTOR,
        setting["executor"],
        setting["batch"],
        setting["threads"],
    )
