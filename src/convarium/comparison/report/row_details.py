"""Details of a row that only the store has: bytes by kind, stages with their curves, commands, hosts."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any

import numpy as np

from convarium.comparison.result import NetworkResult
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.planning.plan_file import list_plan_files, read_points
from convarium.store import curves
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store

Json = dict[str, Any]
RUN_ONLY_KEYS = ("runtime", "tracking", "hydra")
CURVE_METRICS = ("loss", "validation_accuracy")
SIGNIFICANT_DIGITS = 5  # of a point of a curve: more can't be seen, and every page carries all curves


def average_bytes_by_kind(results: Iterable[NetworkResult], store: Store) -> dict[str, float]:
    """Return the file's bytes by what they hold, averaged over seeds; empty where no stored record has them."""
    records = [record for result in results for record in read_measurement_records(result, store, "measure")]
    bytes_by_kind = [record["result"]["bytes"] for record in records if record["result"].get("bytes")]
    kinds = dict.fromkeys(kind for file_bytes in bytes_by_kind for kind in file_bytes)
    return {kind: float(np.mean([file_bytes.get(kind, 0) for file_bytes in bytes_by_kind])) for kind in kinds}


def list_stage_signatures(result: NetworkResult, store: Store) -> list[str]:
    """Return the signatures of the stages that made and measured a network, training first, as far as stored."""
    signatures = [record["signature"] for record in store.walk_chain(result.signature)]
    signatures.reverse()  # a chain is walked from its end
    return signatures + [record["signature"] for record in read_measurement_records(result, store)]


def read_stage_details(signature: str, store: Store) -> Json:
    """Return a stage's name, time and curves; a curve's `epoch` counts within its phase."""
    record = store.find_record(signature) or {}
    folder = store.find_folder(signature)
    reports = curves.read_reports(ResultFolder(folder).curves) if folder else []
    details = {key: record.get(key) for key in ("stage", "name", "started", "seconds", "device", "threads")}
    return {**details, "curves": _split_phases(reports)}


def read_stage_setting(signature: str, store: Store) -> Json:
    """Return what a stage ran on and with: host, versions, source."""
    record = store.find_record(signature) or {}
    # The id of a boot would make each restart of a host a setting of its own.
    host = {key: value for key, value in record.get("host", {}).items() if key != "boot"}
    return {
        "host": host,
        "versions": record.get("versions", {}),
        "git": record.get("git"),
        "source": record.get("source"),
    }


def read_planned_overrides(store: Store) -> dict[str, tuple[str, ...]]:
    """Return, by network, the overrides of the point that it was made for, from the stored plans; the latest counts."""
    overrides: dict[str, tuple[str, ...]] = {}
    for file in sorted(list_plan_files(store.root), key=lambda file: file.lstat().st_mtime):
        with suppress(UserError, OSError):  # a plan that can't be read leaves its rows without a command
            for point in read_points(file):
                overrides[point.network] = point.overrides
    return overrides


def format_run_command(results: Sequence[NetworkResult], planned_overrides: Mapping[str, Sequence[str]]) -> str | None:
    """Return the `convarium run` that makes a row again, one line for all seeds that differ in nothing else.

    Overrides that say where a run worked (store, workers) are left out. None where no stored plan asked for the
    network.
    """
    seeds_by_overrides: dict[tuple[str, ...], list[int]] = {}
    for result in results:
        overrides = result.overrides or planned_overrides.get(result.signature)
        if overrides is None:
            return None
        point_overrides = tuple(text for text in overrides if _is_point_override(text))
        seeds_by_overrides.setdefault(point_overrides, []).append(result.seed)
    commands = []
    for point_overrides, seeds in seeds_by_overrides.items():
        seed_override = f"seed={','.join(map(str, seeds))}"
        commands.append(shlex.join(["convarium", "run", *point_overrides, seed_override]))
    return "\n".join(commands) or None


def _is_point_override(text: str) -> bool:
    override = Override(text)
    return override.key != "seed" and override.group.partition("/")[0] not in RUN_ONLY_KEYS


def read_measurement_records(result: NetworkResult, store: Store, stage: str | None = None) -> list[Json]:
    """Return the records of the stages that measured a network, of all or of one kind, as far as stored."""
    records = [store.find_record(signature) for signature in result.record_signatures]
    return [record for record in records if record is not None and stage in (None, record["stage"])]


def _split_phases(reports: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return the curves of each phase, in the order of the reports; those of a training have one phase, ""."""
    reports_by_phase: dict[str, list[Mapping[str, Any]]] = {}
    for report in reports:
        reports_by_phase.setdefault(str(report.get("phase", "")), []).append(report)
    return [_build_phase_curves(phase, phase_reports) for phase, phase_reports in reports_by_phase.items()]


def _build_phase_curves(phase: str, reports: Sequence[Mapping[str, Any]]) -> Json:
    metric_curves = {key: [_round_to_digits(report.get(key)) for report in reports] for key in CURVE_METRICS}
    return {"phase": phase, "epoch": [report.get("epoch") for report in reports], **metric_curves}


def _round_to_digits(value: Any) -> float | None:
    if value is None or not isfinite(value):  # the page's JSON has no NaN
        return None
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
