"""What a store tells of a row beyond its figures: bytes by kind, stages with their curves, commands, hosts."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any

import numpy as np

from convarium.comparison.collect import made_by
from convarium.comparison.result import Result
from convarium.errors import UserError
from convarium.store import curves, disk
from convarium.store.store import Store

Json = dict[str, Any]
WHERE_IT_RAN = ("runtime", "tracking", "hydra")
CURVES = ("loss", "validation_accuracy")
DIGITS = 5


def bytes_by_kind(results: Iterable[Result], store: Store) -> dict[str, float]:
    """Return what the file's bytes hold, by kind, means over seeds; empty where no stored record tells it."""
    records = [record for result in results for record in _records(result, store, "measure")]
    found = [record["result"]["bytes"] for record in records if record["result"].get("bytes")]
    kinds = dict.fromkeys(kind for one in found for kind in one)
    return {kind: float(np.mean([one.get(kind, 0) for one in found])) for kind in kinds}


def chain(result: Result, store: Store) -> list[str]:
    """Return the signatures of the stages that made and measured a network, training first, as far as stored."""
    made = [record["signature"] for record in made_by(result.signature, store)]
    return made[::-1] + [record["signature"] for record in _records(result, store)]


def stage(signature: str, store: Store) -> Json:
    """Return a stage's name, time and curves; of a curve `epoch` counts within its phase."""
    done, folder = store.done(signature) or {}, store.path(signature)
    told = {key: done.get(key) for key in ("stage", "name", "started", "seconds", "device", "threads")}
    return {**told, "curves": _phases(curves.read(folder / "curves.jsonl") if folder else [])}


def setting(signature: str, store: Store) -> Json:
    """Return what a stage ran on and with: host, versions, source."""
    done = store.done(signature) or {}
    host = {key: value for key, value in done.get("host", {}).items() if key != "boot"}
    return {"host": host, "versions": done.get("versions", {}), "git": done.get("git"), "source": done.get("source")}


def asked(store: Store) -> dict[str, tuple[str, ...]]:
    """Return, by network, the overrides of the point that it was made for, read off the stored plans."""
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted((store.root / "plans").glob("*.json"), key=lambda file: file.lstat().st_mtime):
        with suppress(UserError, OSError):  # a plan that can't be read leaves its rows without a command
            for point in (disk.read_object(file, {"points": list}) or {"points": ()})["points"]:
                found[point["network"]] = tuple(point["overrides"])
    return found


def command(results: Sequence[Result], plans: Mapping[str, Sequence[str]]) -> str | None:
    """Return the `convarium run` that makes a row again, all seeds in one where they differ in nothing else.

    Where a run worked (store, workers) is left out; None where no stored plan asked for the network.
    """
    lines: dict[tuple[str, ...], list[int]] = {}
    for result in results:
        overrides = result.overrides or plans.get(result.signature)
        if overrides is None:
            return None
        lines.setdefault(tuple(text for text in overrides if _is_of_the_point(text)), []).append(result.seed)
    text = "\n".join(
        shlex.join(["convarium", "run", *texts, f"seed={','.join(map(str, seeds))}"]) for texts, seeds in lines.items()
    )
    return text or None


def _is_of_the_point(text: str) -> bool:
    key = text.lstrip("+~").partition("=")[0]
    return key != "seed" and key.split(".")[0].split("/")[0] not in WHERE_IT_RAN


def _records(result: Result, store: Store, stage: str | None = None) -> list[Json]:
    found = [store.done(signature) for signature in result.records]
    return [record for record in found if record is not None and stage in (None, record["stage"])]


def _phases(reports: Sequence[Mapping[str, Any]]) -> list[Json]:
    names = dict.fromkeys(str(report.get("phase", "")) for report in reports)
    return [_phase(name, [report for report in reports if str(report.get("phase", "")) == name]) for name in names]


def _phase(name: str, reports: Sequence[Mapping[str, Any]]) -> Json:
    told = {key: [_rounded(report.get(key)) for report in reports] for key in CURVES}
    return {"phase": name, "epoch": [report.get("epoch") for report in reports], **told}


def _rounded(value: Any) -> float | None:
    return float(f"{value:.{DIGITS}g}") if value is not None and isfinite(value) else None
