"""What the store says a tracked run is: pure, and the same whoever asks.

An entry is what is known of a dense baseline or a pipeline without reading its curves: enough to see whether a tracker
has it as it is. Its content is all that a tracker is told.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from math import isfinite
from typing import Any

from convarium.comparison import labels
from convarium.comparison.report import evidence
from convarium.comparison.result import Result
from convarium.store import curves
from convarium.store.signature import canonical_json
from convarium.store.store import Store

VERSION = 1
LONGEST_VALUE = 6000
LONGEST_KEY = 250
EPOCH = "epoch/"  # figures of one epoch, apart from those of the finished network
NO_FIGURES = ("epoch", "epochs")
TIMED = ("latency_ms", "speedup", "peak_memory_bytes")  # with each number of images a pass
EXECUTED = ("accuracy", "agreement", "model_bytes")

Json = dict[str, Any]
Plans = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Entry:
    """One tracked run, as far as the records of its stages tell.

    Attributes:
        name: as a person would name it, such as "lenet5 mnist5k magnitude 0.95 → kmeans s0".
        chain: signatures of the stages that made and measured it, training first.
        state: changes if and only if what a tracker is told changes.
    """

    name: str
    result: Result
    chain: tuple[str, ...]
    state: str

    @property
    def signature(self) -> str:
        """Of the network."""
        return self.result.signature


@dataclass(frozen=True)
class Figure:
    """A value of a metric at a step, at a time in milliseconds since 1970."""

    key: str
    value: float
    time: int
    step: int = 0


@dataclass(frozen=True)
class Content:
    """What a tracker is told of an entry: times in milliseconds since 1970, figures of epochs apart from `figures`."""

    started: int
    ended: int
    params: Mapping[str, str]
    figures: tuple[Figure, ...]
    epochs: tuple[Figure, ...]
    phases: Mapping[int, str]
    bytes: Mapping[str, float]
    tags: Mapping[str, str]
    dataset: Json
    result: Json


def entries(results: Iterable[Result], store: Store) -> list[Entry]:
    """Return an entry for each network, oldest first."""
    once = {result.signature: result for result in results}
    named = names(list(once.values()))
    found = [_entry(result, named[signature], store) for signature, result in once.items()]
    return sorted(found, key=lambda entry: str((store.done(entry.chain[-1]) or {}).get("started")))


def names(results: Sequence[Result]) -> dict[str, str]:
    """Return a name for each network by signature; those of one architecture, dataset and seed are told apart."""
    groups: dict[tuple[str, str, int], list[Result]] = {}
    for one in results:
        key = str(one.config["architecture"]["name"]), str(one.config["dataset"]["name"]), one.seed
        groups.setdefault(key, []).append(one)
    found: dict[str, str] = {}
    for (architecture, dataset, seed), members in groups.items():
        for one, label in zip(members, labels.labels([one.config for one in members]), strict=True):
            found[one.signature] = f"{architecture} {dataset} {label} s{seed}"
    return found


def content(entry: Entry, store: Store, plans: Plans) -> Content:
    """Return all that is told of an entry; `plans` as `evidence.asked` returns them."""
    records = [record for signature in entry.chain if (record := store.done(signature))]
    begun, ended = _milliseconds(records[0]), max(_ended(record) for record in records)
    seconds = _seconds(records)
    parts = evidence.bytes_by_kind([entry.result], store)
    figures = {key: value for key, value in entry.result.metrics.items() if value is not None}
    told = figures | _timings(entry.result) | {f"bytes/{kind}": size for kind, size in parts.items()}
    told |= {f"seconds/{stage}": value for stage, value in seconds.items()}
    epochs, phases = _epochs(records, store)
    command = evidence.command([entry.result], plans)
    return Content(
        started=begun,
        ended=ended,
        params=params(entry.result.config),
        figures=tuple(Figure(key, float(value), ended) for key, value in told.items() if isfinite(value)),
        epochs=tuple(epochs),
        phases=phases,
        bytes=parts,
        tags=_tags(entry, records, command),
        dataset=dict(entry.result.config["dataset"]),
        result={
            "name": entry.name,
            "signature": entry.signature,
            "dense": entry.result.dense,
            "command": command,
            "config": entry.result.config,
            "metrics": entry.result.metrics,
            "bytes": parts,
            "stages": [evidence.stage(signature, store) | {"signature": signature} for signature in entry.chain],
            "setting": evidence.setting(entry.chain[-1], store),
        },
    )


def params(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a config by keys as they are typed, each value as text that every tracker takes."""
    flat = labels.flat(config) | {"seed": config.get("seed")}
    flat = {key: value for key, value in flat.items() if value is not None}
    return {_fitting(key, LONGEST_KEY): _fitting(_text(value), LONGEST_VALUE) for key, value in flat.items()}


def _entry(result: Result, name: str, store: Store) -> Entry:
    chain = tuple(evidence.chain(result, store))
    when = {signature: str((store.done(signature) or {}).get("started")) for signature in chain}
    told = json.dumps([VERSION, when, dict(result.metrics), _timings(result)], sort_keys=True)
    return Entry(name, result, chain, sha256(told.encode()).hexdigest()[:12])


def _timings(result: Result) -> dict[str, float]:
    """Return what holds under one executor only, by the names that `compare --where` reads."""
    found: dict[str, Any] = {}
    for timing in result.timings:
        name, batch = timing["executor"], timing["batch"]
        found |= {f"{key}.{name}.{batch}": timing.get(key) for key in TIMED}
        found |= {f"{key}.{name}": timing.get(key) for key in EXECUTED}
    return {key: value for key, value in found.items() if isinstance(value, int | float)}


def _epochs(records: Sequence[Json], store: Store) -> tuple[list[Figure], dict[int, str]]:
    """Return figures by epoch, counted on from stage to stage, and the phase that begins after an epoch."""
    figures: list[Figure] = []
    phases: dict[int, str] = {}
    epoch, phase = 0, None
    for record in records:
        folder, clock = store.path(record["signature"]), float(_milliseconds(record))
        for report in curves.read(folder / "curves.jsonl") if folder else []:
            if "epoch" in report:
                if report.get("phase") != phase:
                    phase = report.get("phase")
                    phases[epoch] = str(phase)
                epoch += 1
                clock += 1000 * float(report.get("seconds") or 0)
                figures += [Figure(EPOCH + key, value, int(clock), epoch) for key, value in _numbers(report)]
    return figures, phases


def _numbers(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in report.items():
        if key not in NO_FIGURES and isinstance(value, int | float) and isfinite(value):
            yield key, float(value)


def _seconds(records: Sequence[Json]) -> dict[str, float]:
    """Return the seconds of each kind of stage (all steps under "compress"), and of all."""
    found: dict[str, float] = {}
    for record in records:
        found[record["stage"]] = found.get(record["stage"], 0.0) + float(record["seconds"])
    return found | {"all": sum(found.values())}


def _tags(entry: Entry, records: Sequence[Json], command: str | None) -> dict[str, str]:
    last, config = records[-1], entry.result.config
    git = last.get("git") or {}
    tags = {
        "convarium.kind": "dense" if entry.signature == entry.result.dense else "pipeline",
        "convarium.dense": entry.result.dense,
        "convarium.architecture": labels.architecture(config),
        "convarium.dataset": str(config["dataset"]["name"]),
        "convarium.methods": labels.label(config),
        "convarium.stages": " → ".join(f"{record['stage']} {record['signature']}" for record in records),
        "convarium.host": str(last.get("host", {}).get("name")),
        "convarium.cpu": str(last.get("host", {}).get("cpu")),
        "convarium.device": str(last.get("device")),
        "convarium.versions": ", ".join(f"{name} {number}" for name, number in last.get("versions", {}).items()),
        "convarium.source": str(last.get("source")),
        "convarium.git": " ".join(str(part) for part in (git.get("sha"), git.get("dirty")) if part) or "none",
        "mlflow.source.name": command or "convarium",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": _note(entry, command),
    }
    tags |= {"mlflow.source.git.commit": str(git["sha"])} if git.get("sha") else {}
    return {key: _fitting(value, LONGEST_VALUE) for key, value in tags.items()}


def _note(entry: Entry, command: str | None) -> str:
    again = f"\n\n```\n{command}\n```" if command else ""
    return f"**{entry.name}**{again}\n\n`convarium show {entry.signature}` tells how it was made."


def _milliseconds(record: Json) -> int:
    return int(1000 * datetime.fromisoformat(str(record["started"])).timestamp())


def _ended(record: Json) -> int:
    return _milliseconds(record) + int(1000 * float(record["seconds"]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _fitting(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
