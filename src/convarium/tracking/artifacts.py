"""A run's files in a folder of the tracker: links to what lies in the store, and files made for the tracker."""

import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from convarium.store.result_folder import LOG_FILE, ResultFolder
from convarium.store.store import Store
from convarium.tracking import svg_plots
from convarium.tracking.run_content import EPOCH_PREFIX, MetricValue, NetworkEntry, RunContent

LOG_FILE_NAMES = (LOG_FILE, "log")
PLOTTED_METRICS = ("loss", "validation_accuracy")
RECORD_FILE = "result.json"


def find_store_files(entry: NetworkEntry, store: Store) -> dict[str, Path]:
    """Return the run's files in the store by their names in the tracker: the network and the log of each stage."""
    store_files: dict[str, Path] = {}
    folder = store.find_folder(entry.signature)
    if folder is not None:
        network_file = ResultFolder(folder).network
        if network_file.is_file():
            store_files[network_file.name] = network_file
    for number, signature in enumerate(entry.stage_signatures, 1):
        record = store.find_record(signature)
        log = _find_log(store.find_folder(signature))
        if record is not None and log is not None:
            store_files[f"logs/{number}_{record['stage']}.txt"] = log
    return store_files


def build_run_files(content: RunContent, links: Mapping[str, Path]) -> dict[str, str]:
    """Return the texts of the files made for the tracker, by name: plots, and the record, which lists all files."""
    plots: dict[str, str] = {}
    curves = _select_curves(content.epoch_metrics)
    if curves:
        plots["curves.svg"] = svg_plots.draw_curves(curves, content.phase_starts)
    if content.bytes_by_kind:
        plots["bytes.svg"] = svg_plots.draw_bars(content.bytes_by_kind)
    record = {**content.result_record, "files": sorted([*links, *plots])}
    record_text = json.dumps(record, indent=1, allow_nan=False, default=_to_json_value)
    return {RECORD_FILE: record_text, **plots}


def has_all_files(folder: Path, links: Mapping[str, Path], texts: Collection[str]) -> bool:
    """Whether a folder holds the files of `links` and `texts`, and those that its record lists."""
    names = [*links, *texts]
    if RECORD_FILE in texts:
        try:
            names += json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))["files"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
    if not all((folder / name).is_file() for name in names):
        return False
    # A symbolic link holds an absolute path: in a copy of the folder it still leads to the first store's file.
    return all(_is_same_file(folder / name, links[name]) for name in links if (folder / name).is_symlink())


def place_files(folder: Path, links: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """Put files into a folder, in place of those of the same names; what is linked already stays."""
    for name, source in links.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _is_same_file(target, source):
            target.unlink(missing_ok=True)
            _link_or_copy(source, target)
    for name, text in texts.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written anew rather than over: a copy of the folder by hard links shares the file, and keeps its text.
        target.unlink(missing_ok=True)
        target.write_text(text, encoding="utf-8")


def _find_log(stage_folder: Path | None) -> Path | None:
    """Return a stage's log, None where it has none or an empty one."""
    if stage_folder is None:
        return None
    for name in LOG_FILE_NAMES:
        log = stage_folder / name
        if log.is_file():
            return log if log.stat().st_size else None
    return None


def _select_curves(epoch_metrics: Iterable[MetricValue]) -> dict[str, list[tuple[int, float]]]:
    """Return the (epoch, value) pairs of each metric that is plotted."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for metric in epoch_metrics:
        name = metric.key.removeprefix(EPOCH_PREFIX)
        if name in PLOTTED_METRICS:
            curves.setdefault(name, []).append((metric.step, metric.value))
    return curves


def _is_same_file(target: Path, source: Path) -> bool:
    return target.exists() and target.samefile(source)


def _link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link, on another disk a symbolic one, and a copy where neither is possible."""
    with suppress(OSError):
        os.link(source, target)
        return
    with suppress(OSError):
        target.symlink_to(source.resolve())
        return
    shutil.copyfile(source, target)


def _to_json_value(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
