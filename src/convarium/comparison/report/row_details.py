"""What a store tells of a row beyond its figures: bytes by kind, stages with their curves, commands, hosts."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any

import numpy as np

from convarium.comparison.result import NetworkResult
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.store import curves, disk
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store

Json = dict[str, Any]
RUN_ONLY_KEYS = ("runtime", "tracking", "hydra")
CURVE_METRICS = ("loss", "validation_accuracy")
SIGNIFICANT_DIGITS = 5


def average_bytes_by_kind(results: Iterable[NetworkResult], store: Store) -> dict[str, float]:
    """Return what the file's bytes hold, by kind, means over seeds; empty where no stored record tells it."""
    records = [record for result in results for record in _read_measurement_records(result, store, "measure")]
    found = [record["result"]["bytes"] for record in records if record["result"].get("bytes")]
    kinds = dict.fromkeys(kind for one in found for kind in one)
    return {kind: float(np.mean([one.get(kind, 0) for one in found])) for kind in kinds}


def list_stage_signatures(result: NetworkResult, store: Store) -> list[str]:
    """Return the signatures of the stages that made and measured a network, training first, as far as stored."""
    made = [record["signature"] for record in store.walk_chain(result.signature)]
    return made[::-1] + [record["signature"] for record in _read_measurement_records(result, store)]


def read_stage_details(signature: str, store: Store) -> Json:
    """Return a stage's name, time and curves; of a curve `epoch` counts within its phase."""
    done, folder = store.find_record(signature) or {}, store.find_folder(signature)
    told = {key: done.get(key) for key in ("stage", "name", "started", "seconds", "device", "threads")}
    return {**told, "curves": _split_phases(curves.read_reports(ResultFolder(folder).curves) if folder else [])}


def read_stage_setting(signature: str, store: Store) -> Json:
    """Return what a stage ran on and with: host, versions, source."""
    done = store.find_record(signature) or {}
    host = {key: value for key, value in done.get("host", {}).items() if key != "boot"}
    return {"host": host, "versions": done.get("versions", {}), "git": done.get("git"), "source": done.get("source")}


def read_planned_overrides(store: Store) -> dict[str, tuple[str, ...]]:
    """Return, by network, the overrides of the point that it was made for, read off the stored plans."""
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted((store.root / "plans").glob("*.json"), key=lambda file: file.lstat().st_mtime):
        with suppress(UserError, OSError):  # a plan that can't be read leaves its rows without a command
            for point in (disk.read_json_object(file, {"points": list}) or {"points": ()})["points"]:
                found[point["network"]] = tuple(point["overrides"])
    return found


def format_run_command(results: Sequence[NetworkResult], planned_overrides: Mapping[str, Sequence[str]]) -> str | None:
    """Return the `convarium run` that makes a row again, all seeds in one where they differ in nothing else.

    Where a run worked (store, workers) is left out; None where no stored plan asked for the network.
    """
    lines: dict[tuple[str, ...], list[int]] = {}
    for result in results:
        overrides = result.overrides or planned_overrides.get(result.signature)
        if overrides is None:
            return None
        lines.setdefault(tuple(text for text in overrides if _is_point_override(text)), []).append(result.seed)
    text = "\n".join(
        shlex.join(["convarium", "run", *texts, f"seed={','.join(map(str, seeds))}"]) for texts, seeds in lines.items()
    )
    return text or None


def _is_point_override(text: str) -> bool:
    override = Override(text)
    return override.key != "seed" and override.group.partition("/")[0] not in RUN_ONLY_KEYS


def _read_measurement_records(result: NetworkResult, store: Store, stage: str | None = None) -> list[Json]:
    found = [store.find_record(signature) for signature in result.record_signatures]
    return [record for record in found if record is not None and stage in (None, record["stage"])]


def _split_phases(reports: Sequence[Mapping[str, Any]]) -> list[Json]:
    names = dict.fromkeys(str(report.get("phase", "")) for report in reports)
    return [
        _build_phase_curves(name, [report for report in reports if str(report.get("phase", "")) == name])
        for name in names
    ]


def _build_phase_curves(name: str, reports: Sequence[Mapping[str, Any]]) -> Json:
    told = {key: [_round_to_digits(report.get(key)) for report in reports] for key in CURVE_METRICS}
    return {"phase": name, "epoch": [report.get("epoch") for report in reports], **told}


def _round_to_digits(value: Any) -> float | None:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if value is not None and isfinite(value) else None
