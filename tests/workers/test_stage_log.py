"""A stage's log holds what all its attempts printed, is kept whatever came of it, and stays small."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store
from convarium.workers import stage_log
from store.fake_run import (
    SUBPROCESS_ENVIRONMENT,
    launch_in_processes,
    launch_in_thread,
    make_fake_node,
    make_fake_plan,
    run_plan_silently,
)
from waiting import wait_until

BEGINS = re.compile(r"# [\d-]{10}T[\d:]{8}\+00:00 attempt (\d) begins on \S+, process \d+")


def test_what_a_stage_prints_is_kept_between_its_dated_lines(tmp_path: Path) -> None:
    one = make_fake_node("one")
    run_plan_silently(make_fake_plan(one), tmp_path, launch_in_processes, workers=1)
    begins, printed, done = (stage_log.read_log(Store(tmp_path).folder_of(one)) or "").splitlines()
    assert BEGINS.fullmatch(begins)
    assert printed == "printed one"
    assert re.fullmatch(r"# \S+ done in \S+ s", done)


def test_a_failure_leaves_its_traceback_and_the_next_attempt_goes_on_below(tmp_path: Path) -> None:
    bad = make_fake_node("bad", stage="fail", how="else")
    for _ in range(2):
        run_plan_silently(make_fake_plan(bad), tmp_path, launch_in_thread)
    text = stage_log.read_log(Store(tmp_path).folder_of(bad)) or ""
    assert BEGINS.findall(text) == ["1", "2"]
    assert text.count("failed: ValueError: first line\nTraceback") == 2


def test_an_attempt_that_was_killed_is_told_apart_from_the_one_that_finished(tmp_path: Path) -> None:
    store, journal = tmp_path / "store", tmp_path / "journal"
    command = [sys.executable, "-m", "store.fake_run", str(store), str(journal), "launch_in_thread"]
    process = subprocess.Popen(command, env=SUBPROCESS_ENVIRONMENT, stdout=subprocess.DEVNULL)
    wait_until(journal.exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command, env=SUBPROCESS_ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
    texts = [stage_log.read_log(folder) or "" for _, folder in Store(store).list_folders()]
    assert all(BEGINS.match(text) for text in texts)
    assert ["1", "2"] in [BEGINS.findall(text) for text in texts]


def test_a_log_that_grows_too_long_loses_its_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_log, "MAX_LOG_BYTES", 1000)
    monkeypatch.setattr(stage_log, "KEPT_HEAD_BYTES", 100)
    monkeypatch.setattr(stage_log, "KEPT_TAIL_BYTES", 200)
    path = ResultFolder(tmp_path).log
    with path.open("a", buffering=1) as file:
        for line in range(200):
            file.write(f"line {line}\n")
        stage_log.limit_log_size(path)
        file.write("the last line\n")
    text = path.read_text()
    assert text.startswith("line 0\n")
    assert text.endswith("line 199\nthe last line\n")
    assert re.search(r"\n# 1,\d\d\d bytes are left out here\nline \d+\n", text)
    assert len(text) < 400


def test_a_folder_without_a_log_has_none(tmp_path: Path) -> None:
    assert stage_log.read_log(tmp_path) is None
