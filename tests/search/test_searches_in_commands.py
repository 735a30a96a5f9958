"""Every command copes with searches: what they asked for stays, who goes on with one is told, a merge brings them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from command_lines import ONE_WORKER, SMALL_MLP, Call
from convarium.cli import main
from convarium.search.search_folder import open_search_folder
from convarium.search.stored_searches import find_searched_signatures
from convarium.store.store import Store
from convarium.workers.stored_runs import find_living_runs
from store.fake_run import SUBPROCESS_ENVIRONMENT

pytestmark = pytest.mark.xdist_group("searches")  # one is made once
LINE = (*SMALL_MLP, "compression=[kmeans]", "compression.kmeans.epochs=0", "compression.kmeans.bits=range(2,6)")
LINE += ("search.trials=2", "search/strategy=random", *ONE_WORKER)
STORE = Path("outputs/store")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("search") / "store"
    assert main(["search", *LINE, f"runtime.store={root}"]) == 0
    return root


@pytest.fixture
def search(made: Path, here: Path) -> Path:
    """The folder of a finished search in the store of the current folder."""
    shutil.copytree(made, STORE)
    (folder,) = (STORE / "searches").iterdir()
    return folder


@pytest.fixture
def living_search(search: Path) -> Iterator[Path]:
    """The same, in the hands of this process."""
    _, owner = open_search_folder(Store(STORE), search.name)
    yield search
    owner.release()


def call_json(call: Call, *arguments: str) -> Any:
    code, out, error = call(*arguments, "--json")
    assert code == 0, error
    return json.loads(out)


def test_what_a_search_asked_for_is_not_unreferenced(search: Path, call: Call) -> None:
    stored = {record["signature"] for record in Store(STORE).read_records()}
    assert find_searched_signatures(Store(STORE)) == stored
    assert call_json(call, "gc", "--unreferenced")["results"] == []
    assert search.is_dir()
    kept = call_json(call, "gc", "--unreferenced", "--keep", " ".join(SMALL_MLP), "--dry-run")["results"]
    assert {result["signature"] for result in kept} == stored - {_read_dense_signature()}
    shutil.rmtree(search)
    assert {result["signature"] for result in call_json(call, "gc", "--unreferenced")["results"]} == stored


def test_while_the_list_of_its_trials_is_damaged_nothing_is_unreferenced(search: Path, call: Call) -> None:
    (search / "asked.jsonl").write_text("{}\n{}\n")
    code, out, error = call("gc", "--unreferenced")
    assert (code, out) == (2, "")
    assert f"--unreferenced: {search.resolve().relative_to(Path.cwd())}/asked.jsonl is damaged" in error
    code, out, error = call("gc")
    assert code == 0
    assert "asked.jsonl is damaged: its line 1 is no asked trial; what is unreferenced is not known" in error
    assert "unreferenced: 0," in out


def test_a_search_that_goes_on_is_told_by_status(living_search: Path, call: Call) -> None:
    status = call_json(call, "status")
    assert {"points", "done", "stages_left", "seconds_left", "running", "failed"} < status.keys()
    (told,) = status["searches"]
    assert (told["signature"], told["pid"], told["asked"], told["told"]) == (living_search.name, os.getpid(), 2, 2)
    assert f"search {living_search.name}: 2 of 2 trials told" in call("status")[1]
    assert "searches" not in call_json(call, "status", *SMALL_MLP)


def test_a_damaged_search_is_one_line_and_hides_no_other(living_search: Path, call: Call) -> None:
    damaged = living_search.with_name("0" * 12)  # the first in order
    shutil.copytree(living_search, damaged, ignore=shutil.ignore_patterns("lease.*", "run.txt"))
    (damaged / "asked.jsonl").write_text("{}\n{}\n")
    _, owner = open_search_folder(Store(STORE), damaged.name)
    code, out, error = call("status")
    owner.release()
    assert code == 0
    assert f"search {living_search.name}: 2 of 2 trials told" in out
    (line,) = error.splitlines()
    assert f"{damaged.name}/asked.jsonl is damaged" in line
    assert line.endswith("how far its search is, is not known")


def test_a_search_that_is_over_is_not(search: Path, call: Call) -> None:
    assert call("status")[1] == "nothing runs in outputs/store\n"


def test_a_second_command_says_whose_the_search_is(living_search: Path, call: Call) -> None:
    code, out, error = call("search", *LINE)
    assert (code, out) == (2, "")
    assert f"process {os.getpid()} runs this search already; `convarium status` shows what it does" in error


def test_a_merge_brings_a_search_and_the_same_command_only_reports(search: Path, call: Call) -> None:
    into = "runtime.store=other/store"
    assert "1 search would come" in call("store", "merge", str(STORE), into, "--dry-run")[1]
    assert not Path("other").exists()
    assert call_json(call, "store", "merge", str(STORE), into)["searches"] == 1
    copied = Path("other/store/searches") / search.name
    assert {file.name for file in copied.iterdir()} == {"search.json", "journal.log", "asked.jsonl"}
    assert not (copied / "journal.log").samefile(search / "journal.log")
    journal = (copied / "journal.log").read_text()
    found = call_json(call, "search", *LINE, into)
    assert (found["trials"], found["running"]) == (2, 0)
    assert (copied / "journal.log").read_text() == journal
    assert call_json(call, "store", "merge", str(STORE), into)["searches"] == 0


def test_a_merge_leaves_a_search_alone_that_goes_on_there(living_search: Path, call: Call) -> None:
    report = call_json(call, "store", "merge", str(STORE), "runtime.store=other/store")
    assert (report["searches"], report["living_searches"]) == (0, [living_search.name])
    assert not Path("other/store/searches").exists()


def test_ctrl_c_leaves_nothing_running_and_the_same_command_goes_on(
    call: Call, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])
    write("conf/search/evaluator/fake.yaml", "name: search.fake_search:FakeEvaluator\nseconds: 0.2\n")
    line = (*SMALL_MLP, "search/evaluator=fake", "recipe.lr=interval(0.01,0.1)", "runtime.workers=2")
    command = [sys.executable, "-m", "convarium", "search", *line, "search.trials=500"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        asked = _wait_for_asked_trials(4)
        pids = {worker.pid for _, run in find_living_runs(Store(STORE)) if run for worker in run.find_living_workers()}
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not list(find_living_runs(Store(STORE)))
    before = asked.read_text().splitlines()
    found = call_json(call, "search", *line, f"search.trials={len(before)}")
    assert (found["trials"], found["running"], found["failed"]) == (len(before), 0, 0)
    assert asked.read_text().splitlines() == before


def _read_dense_signature() -> str:
    (record,) = Store(STORE).read_records("train")
    return str(record["signature"])


def _wait_for_asked_trials(count: int) -> Path:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for file in STORE.glob("searches/*/asked.jsonl"):
            if len(file.read_text().splitlines()) >= count:
                return file
        time.sleep(0.1)
    raise AssertionError("the search asked for too few trials")
