"""What is known of a network under each executor: its latency with each number of images a pass, and its quality."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convarium.stages import clock
from convarium.store.plan import PlannedPoint
from convarium.store.signature import canonical_json, signature
from convarium.store.store import Store

Json = dict[str, Any]
Done = Mapping[str, Any]
SETTING = ("executor", "batch", "threads", "device")
CLOCKED = ("latency_ms", "speedup", "peak_memory_bytes")
EXECUTED = ("accuracy", "validation_accuracy", "agreement", "model_bytes")
FIGURES = CLOCKED + EXECUTED


@dataclass(frozen=True)
class Timing:
    """A network's records for one executor and number of images: of its time, of its quality under the executor."""

    setting: Mapping[str, Any]
    time: Done | None
    execution: Done | None

    @property
    def records(self) -> list[Done]:
        """Those of the two that there are."""
        return [record for record in (self.time, self.execution) if record is not None]

    @property
    def void(self) -> bool:
        """Whether the machine was too busy to say how long it takes."""
        return bool(self.time and self.time["result"]["void"])

    def shown(self, measured: Mapping[str, Any]) -> Json:
        """Return it as JSON; a void latency is none. Eager's quality is the `measured` one, of the file itself."""
        timed = self.time["result"] if self.time and not self.void else {"metrics": {}}
        eager = {**measured, "agreement": 1.0} if self.setting["executor"] == clock.EAGER else {}
        quality = self.execution["result"]["metrics"] if self.execution else eager
        return {
            **{"device": "cpu", **self.setting},
            **{key: timed["metrics"].get(key) for key in CLOCKED},
            "speedup_range": timed.get("speedup_range"),
            "void": self.void,
            "quantized_by": clock.quantized_by(self.setting["executor"]),
            **{key: quality.get(key) for key in EXECUTED},
        }


def asked(point: PlannedPoint, store: Store) -> list[Timing]:
    """Return what is stored of what a point wants timed, in its order."""
    executions = {done["stage_config"]["executor"]: done for one in point.executions if (done := store.done(one))}
    settings = clock.settings(point.config) if point.times else []
    return [
        Timing(setting, store.done(time), executions.get(setting["executor"]))
        for setting, time in zip(settings, point.times, strict=True)
    ]


def stored(store: Store) -> dict[str, list[Timing]]:
    """Return all timings of a store by network, eager first, fewest images first.

    Those count that were taken like the latest of the same executor, images and threads: on the same host, by the same
    version; others can't be compared with them.
    """
    executions = {
        (done["parents"][0], done["stage_config"]["executor"]): done for done in _oldest_first(store, "execute")
    }
    found: dict[tuple[str, str], Timing] = {}
    times = _oldest_first(store, "time")
    latest = {_setting(done): canonical_json(done["stage_config"]) for done in times}
    for done in times:
        network, setting = done["parents"][0], done["stage_config"]["measurement"]
        if canonical_json(done["stage_config"]) == latest[_setting(done)]:
            execution = executions.get((network, setting["executor"]))
            found[network, _setting(done)] = Timing(setting, done, execution)
    result: dict[str, list[Timing]] = {}
    for (network, _), timing in sorted(found.items(), key=lambda item: _place(item[1].setting)):
        result.setdefault(network, []).append(timing)
    return result


def of_dense(timings: Iterable[Timing], dense: str, store: Store) -> list[Timing]:
    """Return the records of the same stages for the dense network itself."""
    return [
        Timing(timing.setting, same(timing.time, dense, store), same(timing.execution, dense, store))
        for timing in timings
    ]


def same(done: Done | None, dense: str, store: Store) -> Done | None:
    """Return the record of the same stage for the dense network itself.

    A stage's parents are pairs, what is of the network and what is of the dense one; an execution has one parent.
    """
    if done is None:
        return None
    parents = (dense,) if done["stage"] == "execute" else tuple(one for one in done["parents"][1::2] for _ in range(2))
    return store.done(signature(done["stage"], done["version"], done["stage_config"], parents, done["fingerprint"]))


def of_row(results: Sequence[Sequence[Mapping[str, Any]]]) -> list[Json]:
    """Return the means over seeds, setting by setting; `speedup_range` is the range over seeds and processes.

    Where some seeds are void the means are of the others.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for timing in (timing for timings in results for timing in timings):
        groups.setdefault(canonical_json([timing[key] for key in SETTING]), []).append(timing)
    return [_summed(group) for group in groups.values()]


def _summed(group: Sequence[Mapping[str, Any]]) -> Json:
    ends = [end for timing in group for end in timing["speedup_range"] or ()]
    means = {key: _mean([timing[key] for timing in group if timing[key] is not None]) for key in FIGURES}
    return {
        **{key: group[0][key] for key in SETTING},
        **{key: means[key] for key in CLOCKED},
        "speedup_range": [min(ends), max(ends)] if ends else None,
        "void": any(timing["void"] for timing in group),
        "quantized_by": group[0]["quantized_by"],
        **{key: means[key] for key in EXECUTED},
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _oldest_first(store: Store, stage: str) -> list[Done]:
    return sorted(store.results(stage), key=lambda done: str(done["started"]))


def _setting(done: Done) -> str:
    return canonical_json(done["stage_config"]["measurement"])


def _place(setting: Mapping[str, Any]) -> tuple[bool, str, int, int]:
    return setting["executor"] != clock.EAGER, setting["executor"], setting["batch"], setting["threads"]
