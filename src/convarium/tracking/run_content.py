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
from convarium.comparison.metric_names import TIMED_METRICS
from convarium.comparison.report import row_details
from convarium.comparison.result import NetworkResult
from convarium.store import curves
from convarium.store.result_folder import ResultFolder
from convarium.store.signature import canonical_json
from convarium.store.store import Store

STATE_VERSION = 1
MAX_VALUE_CHARS = 6000
MAX_KEY_CHARS = 250
EPOCH_PREFIX = "epoch/"  # figures of one epoch, apart from those of the finished network
NON_METRIC_KEYS = ("epoch", "epochs")
TRACKED_EXECUTION_METRICS = ("accuracy", "agreement", "model_bytes")

Json = dict[str, Any]
PlannedOverrides = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class NetworkEntry:
    """One tracked run, as far as the records of its stages tell.

    Attributes:
        name: as a person would name it, such as "lenet5 mnist5k magnitude 0.95 → kmeans s0".
        stage_signatures: signatures of the stages that made and measured it, training first.
        state: changes if and only if what a tracker is told changes.
    """

    name: str
    result: NetworkResult
    stage_signatures: tuple[str, ...]
    state: str

    @property
    def signature(self) -> str:
        """Of the network."""
        return self.result.signature


@dataclass(frozen=True)
class MetricValue:
    """A value of a metric at a step, at a time in milliseconds since 1970."""

    key: str
    value: float
    time_ms: int
    step: int = 0


@dataclass(frozen=True)
class RunContent:
    """What a tracker is told of an entry: times in ms since 1970, figures of epochs apart from `final_metrics`."""

    started_ms: int
    ended_ms: int
    params: Mapping[str, str]
    final_metrics: tuple[MetricValue, ...]
    epoch_metrics: tuple[MetricValue, ...]
    phase_starts: Mapping[int, str]
    bytes_by_kind: Mapping[str, float]
    tags: Mapping[str, str]
    dataset_config: Json
    result_record: Json


def build_entries(results: Iterable[NetworkResult], store: Store) -> list[NetworkEntry]:
    """Return an entry for each network, oldest first."""
    once = {result.signature: result for result in results}
    named = name_networks(list(once.values()))
    found = [_build_entry(result, named[signature], store) for signature, result in once.items()]
    return sorted(found, key=lambda entry: str((store.find_record(entry.stage_signatures[-1]) or {}).get("started")))


def name_networks(results: Sequence[NetworkResult]) -> dict[str, str]:
    """Return a name for each network by signature; those of one architecture, dataset and seed are told apart."""
    groups: dict[tuple[str, str, int], list[NetworkResult]] = {}
    for one in results:
        key = str(one.config["architecture"]["name"]), str(one.config["dataset"]["name"]), one.seed
        groups.setdefault(key, []).append(one)
    found: dict[str, str] = {}
    for (architecture, dataset, seed), members in groups.items():
        for one, label in zip(members, labels.format_distinct_labels([one.config for one in members]), strict=True):
            found[one.signature] = f"{architecture} {dataset} {label} s{seed}"
    return found


def build_content(entry: NetworkEntry, store: Store, planned_overrides: PlannedOverrides) -> RunContent:
    """Return all that is told of an entry; `planned_overrides` as `row_details.read_planned_overrides` returns them."""
    records = [record for signature in entry.stage_signatures if (record := store.find_record(signature))]
    begun, ended = _get_start_ms(records[0]), max(_get_end_ms(record) for record in records)
    seconds = _sum_stage_seconds(records)
    parts = row_details.average_bytes_by_kind([entry.result], store)
    figures = {key: value for key, value in entry.result.metrics.items() if value is not None}
    told = figures | _flatten_timings(entry.result) | {f"bytes/{kind}": size for kind, size in parts.items()}
    told |= {f"seconds/{stage}": value for stage, value in seconds.items()}
    epochs, phases = _read_epoch_metrics(records, store)
    command = row_details.format_run_command([entry.result], planned_overrides)
    return RunContent(
        started_ms=begun,
        ended_ms=ended,
        params=format_params(entry.result.config),
        final_metrics=tuple(MetricValue(key, float(value), ended) for key, value in told.items() if isfinite(value)),
        epoch_metrics=tuple(epochs),
        phase_starts=phases,
        bytes_by_kind=parts,
        tags=_build_tags(entry, records, command),
        dataset_config=dict(entry.result.config["dataset"]),
        result_record={
            "name": entry.name,
            "signature": entry.signature,
            "dense": entry.result.dense_signature,
            "command": command,
            "config": entry.result.config,
            "metrics": entry.result.metrics,
            "bytes": parts,
            "stages": [
                row_details.read_stage_details(signature, store) | {"signature": signature}
                for signature in entry.stage_signatures
            ],
            "setting": row_details.read_stage_setting(entry.stage_signatures[-1], store),
        },
    )


def format_params(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a config by keys as they are typed, each value as text that every tracker takes."""
    flat = labels.flatten_config(config) | {"seed": config.get("seed")}
    flat = {key: value for key, value in flat.items() if value is not None}
    return {
        _shorten_text(key, MAX_KEY_CHARS): _shorten_text(_format_param_value(value), MAX_VALUE_CHARS)
        for key, value in flat.items()
    }


def _build_entry(result: NetworkResult, name: str, store: Store) -> NetworkEntry:
    chain = tuple(row_details.list_stage_signatures(result, store))
    when = {signature: str((store.find_record(signature) or {}).get("started")) for signature in chain}
    told = json.dumps([STATE_VERSION, when, dict(result.metrics), _flatten_timings(result)], sort_keys=True)
    return NetworkEntry(name, result, chain, sha256(told.encode()).hexdigest()[:12])


def _flatten_timings(result: NetworkResult) -> dict[str, float]:
    """Return what holds under one executor only, by the names that `compare --where` reads."""
    found: dict[str, Any] = {}
    for timing in result.timings:
        name, batch = timing["executor"], timing["batch"]
        found |= {f"{key}.{name}.{batch}": timing.get(key) for key in TIMED_METRICS}
        found |= {f"{key}.{name}": timing.get(key) for key in TRACKED_EXECUTION_METRICS}
    return {key: value for key, value in found.items() if isinstance(value, int | float)}


def _read_epoch_metrics(records: Sequence[Json], store: Store) -> tuple[list[MetricValue], dict[int, str]]:
    """Return figures by epoch, counted on from stage to stage, and the phase that begins after an epoch."""
    figures: list[MetricValue] = []
    phases: dict[int, str] = {}
    epoch, phase = 0, None
    for record in records:
        folder, clock = store.find_folder(record["signature"]), float(_get_start_ms(record))
        for report in curves.read_reports(ResultFolder(folder).curves) if folder else []:
            if "epoch" in report:
                if report.get("phase") != phase:
                    phase = report.get("phase")
                    phases[epoch] = str(phase)
                epoch += 1
                clock += 1000 * float(report.get("seconds") or 0)
                figures += [
                    MetricValue(EPOCH_PREFIX + key, value, int(clock), epoch) for key, value in _select_numbers(report)
                ]
    return figures, phases


def _select_numbers(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in report.items():
        if key not in NON_METRIC_KEYS and isinstance(value, int | float) and isfinite(value):
            yield key, float(value)


def _sum_stage_seconds(records: Sequence[Json]) -> dict[str, float]:
    """Return the seconds of each kind of stage (all steps under "compress"), and of all."""
    found: dict[str, float] = {}
    for record in records:
        found[record["stage"]] = found.get(record["stage"], 0.0) + float(record["seconds"])
    return found | {"all": sum(found.values())}


def _build_tags(entry: NetworkEntry, records: Sequence[Json], command: str | None) -> dict[str, str]:
    last, config = records[-1], entry.result.config
    git = last.get("git") or {}
    tags = {
        "convarium.kind": "dense" if entry.signature == entry.result.dense_signature else "pipeline",
        "convarium.dense": entry.result.dense_signature,
        "convarium.architecture": labels.get_architecture_option(config),
        "convarium.dataset": str(config["dataset"]["name"]),
        "convarium.methods": labels.format_label(config),
        "convarium.stages": " → ".join(f"{record['stage']} {record['signature']}" for record in records),
        "convarium.host": str(last.get("host", {}).get("name")),
        "convarium.cpu": str(last.get("host", {}).get("cpu")),
        "convarium.device": str(last.get("device")),
        "convarium.versions": ", ".join(f"{name} {number}" for name, number in last.get("versions", {}).items()),
        "convarium.source": str(last.get("source")),
        "convarium.git": " ".join(str(part) for part in (git.get("sha"), git.get("dirty")) if part) or "none",
        "mlflow.source.name": command or "convarium",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": _format_note(entry, command),
    }
    tags |= {"mlflow.source.git.commit": str(git["sha"])} if git.get("sha") else {}
    return {key: _shorten_text(value, MAX_VALUE_CHARS) for key, value in tags.items()}


def _format_note(entry: NetworkEntry, command: str | None) -> str:
    again = f"\n\n```\n{command}\n```" if command else ""
    return f"**{entry.name}**{again}\n\n`convarium show {entry.signature}` tells how it was made."


def _get_start_ms(record: Json) -> int:
    return int(1000 * datetime.fromisoformat(str(record["started"])).timestamp())


def _get_end_ms(record: Json) -> int:
    return _get_start_ms(record) + int(1000 * float(record["seconds"]))


def _format_param_value(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _shorten_text(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"
