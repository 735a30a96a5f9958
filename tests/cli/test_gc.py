"""Garbage is what no command asks for; what is done and asked for, and what somebody works on, stays."""

import gzip
import json
import os
from pathlib import Path

import pytest

from command_lines import ONE_WORKER, SMALL_MLP, Call
from convarium.planning.plan import Node, Plan
from convarium.stages.declaration import find_stages
from convarium.store.store import Store
from convarium.upkeep.garbage import find_garbage, remove_garbage
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import Run
from stages.stage_harness import plan_command_line, plan_command_nodes


@pytest.fixture
def left(call: Call, here: Path) -> dict[str, Path]:
    """A finished point; of another seed one stage's folder each that failed, was stopped, runs, is outdated."""
    assert call("run", *SMALL_MLP, *ONE_WORKER)[0] == 0
    store, found = Store(Path("outputs/store")), {}
    for seed, kind in enumerate(("failed", "unfinished", "running", "outdated"), 1):
        folder = store.folder_of(_train(seed))
        folder.mkdir(parents=True)
        (folder / "curves.jsonl").write_text("x" * 100)
        lease = LeaseManager("a run that is over").take(folder)
        assert lease is not None
        lease.release()
        found[kind] = folder
    (found["failed"] / "failed.json").write_text('{"error": "no"}')
    done = json.loads((store.folder_of(_train(0)) / "done.json").read_text())
    (found["outdated"] / "done.json").write_text(json.dumps({**done, "version": 0}))
    assert LeaseManager("another run").take(found["running"])
    return found


def _train(seed: int) -> Node:
    return plan_command_nodes(*SMALL_MLP, f"seed={seed}")[0]


def test_a_dry_run_says_bytes_and_removes_nothing(left: dict[str, Path], call: Call) -> None:
    code, out, _ = call("gc", "--dry-run", "--json")
    found = json.loads(out)
    assert (code, found["removed"]) == (0, False)
    assert [one["kind"] for one in found["results"]] == ["failed"]
    assert found["bytes"] > 100
    assert all(folder.is_dir() for folder in left.values())
    assert "unfinished: 1, 1,124 bytes kept; --unfinished removes them" in call("gc", "--dry-run")[1]


def test_what_is_asked_for_and_what_runs_stays(left: dict[str, Path], call: Call) -> None:
    assert call("gc")[0] == 0
    assert [kind for kind, folder in left.items() if folder.exists()] == ["unfinished", "running", "outdated"]
    assert call("gc", "--unfinished", "--outdated")[0] == 0
    assert [kind for kind, folder in left.items() if folder.exists()] == ["running"]
    assert json.loads(call("plan", "--json", *SMALL_MLP)[1])["stored"] == 1
    assert not [path for path in Path("outputs/store/train").iterdir() if path.name.startswith(".")]


def test_a_failure_s_checkpoint_stays_until_unfinished_work_is_to_go(left: dict[str, Path], call: Call) -> None:
    checkpoint = left["failed"] / "checkpoints/train.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(bytes(1000))
    (left["failed"] / "log.txt").write_text("x" * 10)
    said = call("gc", "--dry-run")[1]
    assert "failed: 1, 25 bytes would go" in said
    assert "unfinished: 2, 3,248 bytes kept" in said
    assert call("gc")[0] == 0
    assert checkpoint.exists()
    assert not (left["failed"] / "failed.json").exists()
    assert not (left["failed"] / "log.txt").exists()
    (left["failed"] / "failed.json").write_text('{"error": "no"}')
    assert call("gc", "--unfinished")[0] == 0
    assert not left["failed"].exists()


def test_what_was_made_from_outdated_results_is_outdated(left: dict[str, Path], call: Call) -> None:
    store = Store(Path("outputs/store"))
    (measured,) = store.read_records("measure")
    done = store.folder_of(_train(0)) / "done.json"
    done.write_text(json.dumps({**json.loads(done.read_text()), "version": 0}))
    going = json.loads(call("gc", "--dry-run", "--outdated", "--json")[1])["results"]
    assert measured["signature"] in [one["signature"] for one in going if one["kind"] == "outdated"]


def test_what_no_plan_asks_for_any_more_is_unreferenced(left: dict[str, Path], call: Call) -> None:
    store = Store(Path("outputs/store"))
    assert "unreferenced: 0, 0 bytes kept; --unreferenced removes them" in call("gc", "--dry-run")[1]
    for file in (store.root / "plans").iterdir():
        file.unlink()
    assert call("gc", "--unreferenced")[0] == 0
    assert not store.folder_of(_train(0)).exists()
    assert [*store.read_records("measure")] == []
    assert left["outdated"].exists()


def test_what_is_kept_by_its_command_line_stays_and_nothing_else(left: dict[str, Path], call: Call) -> None:
    more = [*SMALL_MLP, *ONE_WORKER, "compression=none,magnitude"]
    assert call("run", *more)[0] == 0
    kept = f"--keep={' '.join(SMALL_MLP)}"
    going = json.loads(call("gc", "--dry-run", "--unreferenced", kept, "--json")[1])["results"]
    assert sorted(one["folder"].split("/")[2] for one in going if one["kind"] == "unreferenced") == [
        "compress",
        "measure",
    ]
    assert call("gc", "--unreferenced", kept)[0] == 0
    assert json.loads(call("plan", "--json", *SMALL_MLP)[1])["stored"] == 1
    assert json.loads(call("plan", "--json", *more)[1])["stored"] == 1


@pytest.mark.parametrize("text", ["", "{", '{"format": 99}', '{"format": 4, "nodes": [{}]}'])
def test_while_a_plan_cant_be_read_nothing_is_unreferenced(text: str, left: dict[str, Path], call: Call) -> None:
    (plan_file,) = Path("outputs/store/plans").glob("*.plan.json.gz")
    plan_file.write_bytes(gzip.compress(text.encode()) if text else b"")
    code, out, error = call("gc", "--unreferenced")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert str(plan_file) in error
    assert "remove it, or name what stays with --keep" in error
    assert all(folder.is_dir() for folder in left.values())
    code, out, error = call("gc")
    assert code == 0
    assert "unreferenced: 0, 0 bytes kept" in out
    assert f"{plan_file} is" in error
    assert call("gc", "--unreferenced", f"--keep={' '.join(SMALL_MLP)}")[0] == 0
    assert json.loads(call("plan", "--json", *SMALL_MLP)[1])["stored"] == 1


def test_what_an_unreadable_plan_of_a_living_run_asks_for_stays(left: dict[str, Path], call: Call) -> None:
    run = Run.begin(plan_command_line(*SMALL_MLP), Store(Path("outputs/store")), 1)
    run.plan.write_bytes(gzip.compress(b"{"))
    code, out, error = call("gc", "--unreferenced", "--keep=architecture=lenet5")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert f"{run.plan.name} is damaged" in error
    run.remove()
    assert all(folder.is_dir() for folder in left.values())


def test_adopted_weights_and_what_runs_are_never_unreferenced(left: dict[str, Path], call: Call) -> None:
    store = Store(Path("outputs/store"))
    record = store.folder_of(_train(0)) / "done.json"
    adopted = json.loads(record.read_text()) | {"stage": "adopt"}
    record.write_text(json.dumps(adopted))
    going = {one.folder for one in find_garbage(Store(store.root), {}, set()) if one.kind == "unreferenced"}
    assert record.parent not in going
    assert {folder.parent.name for folder in going - {left["outdated"]}} == {"measure"}
    run = Run.begin(plan_command_line(*SMALL_MLP), store, 1)
    assert "unreferenced: 0" in call("gc", "--dry-run", "--keep=architecture=lenet5")[1]
    run.remove()


@pytest.mark.parametrize(("line", "said"), [("'seed=0", "no closing quotation"), ("sweep=dmo", "did you mean demo?")])
def test_a_line_to_keep_that_is_none_removes_nothing(line: str, said: str, left: dict[str, Path], call: Call) -> None:
    code, out, error = call("gc", "--unreferenced", f"--keep={line}")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert said in error
    assert all(folder.is_dir() for folder in left.values())


def test_the_cache_goes_when_asked_to_unless_a_run_is_going_on(left: dict[str, Path], call: Call) -> None:
    cache = Path(f"outputs/store.cache/pixels/image_folder-train-{'0' * 16}")
    cache.mkdir(parents=True)
    (cache / "pixels").write_bytes(bytes(5000))
    assert "cache: 1, 5,000 bytes kept; --cache removes them" in call("gc")[1]
    run = Run.begin(Plan({}, ()), Store(Path("outputs/store")), 1)
    assert call("gc", "--cache")[0] == 0
    assert (cache / "pixels").exists()
    run.remove()
    assert "cache: 1, 5,000 bytes removed" in call("gc", "--cache")[1]
    assert not Path("outputs/store.cache").exists()


def test_what_killed_commands_left_aside_goes_when_it_is_old(left: dict[str, Path], call: Call) -> None:
    old, new = (Path(f"outputs/store/train/.merge.{digit * 32}") for digit in "ab")
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    assert "left: 1, 0 bytes removed" in call("gc")[1]
    assert (old.exists(), new.exists()) == (False, True)


def test_a_run_that_was_never_finished_goes_after_a_day(left: dict[str, Path], call: Call) -> None:
    folder = Path("outputs/store/runs/0123456789abcdef")
    folder.mkdir(parents=True)
    assert call("gc")[0] == 0
    assert folder.is_dir()
    os.utime(folder, (0, 0))
    assert call("gc")[0] == 0
    assert not folder.exists()


def test_what_was_finished_meanwhile_stays(left: dict[str, Path]) -> None:
    found = [
        one for one in find_garbage(Store(Path("outputs/store")), find_stages(), set()) if one.kind == "unfinished"
    ]
    assert [one.folder for one in found] == [left["unfinished"]]
    done = (left["outdated"] / "done.json").read_text()
    (left["unfinished"] / "done.json").write_text(done)
    remove_garbage(found)
    assert (left["unfinished"] / "done.json").read_text() == done
