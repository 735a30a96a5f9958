"""The files of a run, made or lying in the store, in a folder of the tracker: by link where both are on one disk."""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from convarium.store.result_folder import LOG_FILE, ResultFolder
from convarium.store.store import Store
from convarium.tracking import svg_plots
from convarium.tracking.run_content import EPOCH_PREFIX, NetworkEntry, RunContent

LOG_FILE_NAMES = (LOG_FILE, "log")
PLOTTED_METRICS = ("loss", "validation_accuracy")
RECORD_FILE = "result.json"


def find_store_files(entry: NetworkEntry, store: Store) -> dict[str, Path]:
    """Return what lies in the store, by its name in the tracker: the network's file and the log of each stage."""
    found: dict[str, Path] = {}
    network = store.find_folder(entry.signature)
    if network is not None and (file := ResultFolder(network).network).is_file():
        found[file.name] = file
    for number, signature in enumerate(entry.stage_signatures, 1):
        record, folder = store.find_record(signature), store.find_folder(signature)
        log = next((folder / name for name in LOG_FILE_NAMES if (folder / name).is_file()), None) if folder else None
        if record is not None and log is not None and log.stat().st_size:
            found[f"logs/{number}_{record['stage']}.txt"] = log
    return found


def build_run_files(content: RunContent, links: Mapping[str, Path]) -> dict[str, str]:
    """Return what is written for the tracker, by name: the record of the run, which names all files, and plots."""
    files: dict[str, str] = {}
    series: dict[str, list[tuple[int, float]]] = {}
    for figure in content.epoch_metrics:
        name = figure.key.removeprefix(EPOCH_PREFIX)
        if name in PLOTTED_METRICS:
            series.setdefault(name, []).append((figure.step, figure.value))
    if series:
        files["curves.svg"] = svg_plots.draw_curves(series, content.phase_starts)
    if content.bytes_by_kind:
        files["bytes.svg"] = svg_plots.draw_bars(content.bytes_by_kind)
    result = {**content.result_record, "files": sorted([*links, *files])}
    return {RECORD_FILE: json.dumps(result, indent=1, allow_nan=False, default=_to_json_value), **files}


def has_all_files(folder: Path, links: Mapping[str, Path], texts: Collection[str]) -> bool:
    """Whether a folder holds the `texts`, all that its record names, and what `links` lead to."""
    try:
        told = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))["files"] if RECORD_FILE in texts else []
    except (OSError, ValueError, KeyError, TypeError):
        return False
    stale = (name for name in links if (folder / name).is_symlink() and not _is_same_file(folder / name, links[name]))
    return all((folder / name).is_file() for name in (*links, *texts, *told)) and not any(stale)


def place_files(folder: Path, links: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """Put files into a folder; what is there already is replaced, what is linked already is left."""
    for name, source in links.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _is_same_file(target, source):
            target.unlink(missing_ok=True)
            _link_or_copy(source, target)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)  # what is linked to it, such as a copy, keeps its text
        (folder / name).write_text(text, encoding="utf-8")


def _is_same_file(target: Path, source: Path) -> bool:
    return target.exists() and target.samefile(source)


def _link_or_copy(source: Path, target: Path) -> None:
    """Link hard; where the disk is another one, symbolically; where neither can be, copy."""
    with suppress(OSError):
        os.link(source, target)
        return
    with suppress(OSError):
        target.symlink_to(source.resolve())
        return
    shutil.copyfile(source, target)


def _to_json_value(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
