"""The content of a tracked run, read from the store alone.

An entry is what is known of a dense network or a pipeline without reading its curves: enough to see whether the
tracker's run of it is current. Its content is all that is written to the tracker.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from math import isfinite
from typing import Any

from convarium.comparison import labels
from convarium.comparison.report import row_details
from convarium.comparison.result import TIMED_METRICS, NetworkResult
from convarium.store import curves
from convarium.store.result_folder import ResultFolder
from convarium.store.signature import canonical_json
from convarium.store.store import Store

STATE_VERSION = 1
MAX_VALUE_CHARS = 6000  # MLflow's limits on a parameter and its key
MAX_KEY_CHARS = 250
EPOCH_PREFIX = "epoch/"  # sets the metrics of an epoch apart from those of the finished network
NON_METRIC_KEYS = ("epoch", "epochs")
TRACKED_EXECUTION_METRICS = ("accuracy", "agreement", "model_bytes")

Json = dict[str, Any]
PlannedOverrides = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class NetworkEntry:
    """One tracked run, as far as it is known from the records of its stages.

    Attributes:
        name: as a person would name it, such as "lenet5 mnist5k magnitude 0.95 → kmeans 5 s0".
        stage_signatures: signatures of the stages that made and measured it, training first.
        state: a hash that changes whenever a stage was made again or a figure has changed.
    """

    name: str
    result: NetworkResult
    stage_signatures: tuple[str, ...]
    state: str

    @property
    def signature(self) -> str:
        """The network's signature."""
        return self.result.signature


@dataclass(frozen=True)
class MetricValue:
    """A metric's value at a step, and its time in milliseconds since 1970."""

    key: str
    value: float
    time_ms: int
    step: int = 0


@dataclass(frozen=True)
class RunContent:
    """All that a tracker gets of an entry.

    Attributes:
        started_ms: when the first stage began, in milliseconds since 1970.
        ended_ms: when the last stage ended, in milliseconds since 1970.
        params: the config, by the keys as they are typed.
        final_metrics: figures of the finished network.
        epoch_metrics: figures of its epochs, counted on from stage to stage.
        phase_starts: the phases, by the number of epochs before them.
        bytes_by_kind: bytes of the network's file by what they hold.
        tags: by their names in the tracker.
        dataset_config: the dataset's part of the config.
        result_record: the content of the run's `result.json`.
    """

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
    """Return an entry for each network, in the order in which their last stages were started."""
    results_by_signature = {result.signature: result for result in results}
    names = name_networks(list(results_by_signature.values()))
    entries = [_build_entry(result, names[signature], store) for signature, result in results_by_signature.items()]
    return sorted(entries, key=lambda entry: _read_start(entry.stage_signatures[-1], store))


def name_networks(results: Sequence[NetworkResult]) -> dict[str, str]:
    """Return a name for each network by signature; names of one architecture, dataset and seed are distinct."""
    groups: dict[tuple[str, str, int], list[NetworkResult]] = {}
    for result in results:
        architecture, dataset = str(result.config["architecture"]["name"]), str(result.config["dataset"]["name"])
        groups.setdefault((architecture, dataset, result.seed), []).append(result)
    names: dict[str, str] = {}
    for (architecture, dataset, seed), members in groups.items():
        member_labels = labels.format_distinct_labels([result.config for result in members])
        for result, label in zip(members, member_labels, strict=True):
            names[result.signature] = f"{architecture} {dataset} {label} s{seed}"
    return names


def build_content(entry: NetworkEntry, store: Store, planned_overrides: PlannedOverrides) -> RunContent:
    """Return the content of an entry; `planned_overrides` as `row_details.read_planned_overrides` returns them."""
    records = [record for signature in entry.stage_signatures if (record := store.find_record(signature))]
    ended_ms = max(get_end_ms(record) for record in records)
    bytes_by_kind = row_details.average_bytes_by_kind([entry.result], store)
    epoch_metrics, phase_starts = _read_epoch_metrics(records, store)
    command = row_details.format_run_command([entry.result], planned_overrides)
    return RunContent(
        started_ms=get_start_ms(records[0]),
        ended_ms=ended_ms,
        params=format_params(entry.result.config),
        final_metrics=_collect_final_metrics(entry.result, records, bytes_by_kind, ended_ms),
        epoch_metrics=epoch_metrics,
        phase_starts=phase_starts,
        bytes_by_kind=bytes_by_kind,
        tags=_build_tags(entry, records, command),
        dataset_config=dict(entry.result.config["dataset"]),
        result_record=_build_result_record(entry, command, bytes_by_kind, store),
    )


def format_params(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a config's values by the keys as they are typed, each as text that is no longer than MLflow takes."""
    flat_config = labels.flatten_config(config) | {"seed": config.get("seed")}
    params: dict[str, str] = {}
    for key, value in flat_config.items():
        if value is not None:
            text = value if isinstance(value, str) else canonical_json(value)
            params[shorten_text(key, MAX_KEY_CHARS)] = shorten_text(text, MAX_VALUE_CHARS)
    return params


def get_start_ms(record: Json) -> int:
    """Return when a stage was started, in ms since 1970, from its record."""
    return int(1000 * datetime.fromisoformat(str(record["started"])).timestamp())


def get_end_ms(record: Json) -> int:
    """Return when a stage ended, in ms since 1970, from its record."""
    return get_start_ms(record) + int(1000 * float(record["seconds"]))


def shorten_text(text: str, max_chars: int) -> str:
    """Return a text of at most so many characters, whose last one says where it was cut."""
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"


def _build_entry(result: NetworkResult, name: str, store: Store) -> NetworkEntry:
    stage_signatures = tuple(row_details.list_stage_signatures(result, store))
    starts = {signature: _read_start(signature, store) for signature in stage_signatures}
    document = [STATE_VERSION, starts, dict(result.metrics), _flatten_timings(result)]
    state = sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
    return NetworkEntry(name, result, stage_signatures, state)


def _read_start(signature: str, store: Store) -> str:
    """Return when a stage was started, as its record says it."""
    record = store.find_record(signature) or {}
    return str(record.get("started"))


def _collect_final_metrics(
    result: NetworkResult, records: Sequence[Json], bytes_by_kind: Mapping[str, float], time_ms: int
) -> tuple[MetricValue, ...]:
    figures = {key: value for key, value in result.metrics.items() if value is not None}
    figures |= _flatten_timings(result)
    figures |= {f"bytes/{kind}": size for kind, size in bytes_by_kind.items()}
    figures |= {f"seconds/{stage}": seconds for stage, seconds in _sum_stage_seconds(records).items()}
    # MLflow's databases would hold an infinity as the largest float, and a NaN as 0.
    return tuple(MetricValue(key, float(value), time_ms) for key, value in figures.items() if isfinite(value))


def _build_result_record(
    entry: NetworkEntry, command: str | None, bytes_by_kind: Mapping[str, float], store: Store
) -> Json:
    stages = [
        row_details.read_stage_details(signature, store) | {"signature": signature}
        for signature in entry.stage_signatures
    ]
    return {
        "name": entry.name,
        "signature": entry.signature,
        "dense": entry.result.dense_signature,
        "command": command,
        "config": entry.result.config,
        "metrics": entry.result.metrics,
        "bytes": bytes_by_kind,
        "stages": stages,
        "setting": row_details.read_stage_setting(entry.stage_signatures[-1], store),
    }


def _flatten_timings(result: NetworkResult) -> dict[str, float]:
    """Return the figures of each executor and batch size by the names that `compare --where` reads."""
    figures: dict[str, Any] = {}
    for timing in result.timings:
        executor, batch_size = timing["executor"], timing["batch"]
        figures |= {f"{key}.{executor}.{batch_size}": timing.get(key) for key in TIMED_METRICS}
        figures |= {f"{key}.{executor}": timing.get(key) for key in TRACKED_EXECUTION_METRICS}
    return {key: value for key, value in figures.items() if isinstance(value, int | float)}


def _read_epoch_metrics(records: Sequence[Json], store: Store) -> tuple[tuple[MetricValue, ...], dict[int, str]]:
    """Return the metrics of all epochs, counted on from stage to stage, and the phases by the epochs before them."""
    metrics: list[MetricValue] = []
    phase_starts: dict[int, str] = {}
    current_phase = None
    for epoch, (report, time_ms) in enumerate(_iterate_epoch_reports(records, store), 1):
        phase = report.get("phase")
        if phase != current_phase:
            phase_starts[epoch - 1] = str(phase)
            current_phase = phase
        for key, value in report.items():
            if key not in NON_METRIC_KEYS and isinstance(value, int | float) and isfinite(value):
                metrics.append(MetricValue(EPOCH_PREFIX + key, float(value), time_ms, epoch))
    return tuple(metrics), phase_starts


def _iterate_epoch_reports(records: Sequence[Json], store: Store) -> Iterator[tuple[Json, int]]:
    """Yield the report of each epoch and when it ended in ms since 1970: the stage's start plus its epochs' seconds."""
    for record in records:
        folder = store.find_folder(record["signature"])
        reports = curves.read_reports(ResultFolder(folder).curves) if folder else []
        time_ms = float(get_start_ms(record))
        for report in reports:
            if "epoch" in report:
                time_ms += 1000 * float(report.get("seconds") or 0)
                yield report, int(time_ms)


def _sum_stage_seconds(records: Sequence[Json]) -> dict[str, float]:
    """Return the seconds of each kind of stage (those of all steps under "compress"), and their sum under "all"."""
    seconds_by_stage: dict[str, float] = {}
    for record in records:
        stage = record["stage"]
        seconds_by_stage[stage] = seconds_by_stage.get(stage, 0.0) + float(record["seconds"])
    return seconds_by_stage | {"all": sum(seconds_by_stage.values())}


def _build_tags(entry: NetworkEntry, records: Sequence[Json], command: str | None) -> dict[str, str]:
    config = entry.result.config
    last_record = records[-1]
    host = last_record.get("host", {})
    versions = last_record.get("versions", {})
    git = last_record.get("git") or {}
    tags = {
        "convarium.kind": "dense" if entry.signature == entry.result.dense_signature else "pipeline",
        "convarium.dense": entry.result.dense_signature,
        "convarium.architecture": labels.get_architecture_option(config),
        "convarium.dataset": str(config["dataset"]["name"]),
        "convarium.methods": labels.format_label(config),
        "convarium.stages": " → ".join(f"{record['stage']} {record['signature']}" for record in records),
        "convarium.host": str(host.get("name")),
        "convarium.cpu": str(host.get("cpu")),
        "convarium.device": str(last_record.get("device")),
        "convarium.versions": ", ".join(f"{package} {version}" for package, version in versions.items()),
        "convarium.source": str(last_record.get("source")),
        "convarium.git": " ".join(str(part) for part in (git.get("sha"), git.get("dirty")) if part) or "none",
        "mlflow.source.name": command or "convarium",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": _format_note(entry, command),
    }
    if git.get("sha"):
        tags["mlflow.source.git.commit"] = str(git["sha"])
    return {key: shorten_text(value, MAX_VALUE_CHARS) for key, value in tags.items()}


def _format_note(entry: NetworkEntry, command: str | None) -> str:
    command_block = f"\n\n```\n{command}\n```" if command else ""
    return f"**{entry.name}**{command_block}\n\n`convarium show {entry.signature}` tells how it was made."
