"""What a run clears behind itself is its own: what is only called so stays."""

from pathlib import Path

import pytest

from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.owned_files import list_foreign, list_owned
from convarium.workers.retry import remove_for_retry
from store.fake_run import launch_in_processes, launch_in_thread, make_fake_node, make_fake_plan, run_plan_silently

ONE = make_fake_node("one")
NAMES = ["work.md", "work.notes/a", "work.0.txt", "lease.pdf", ".lease.txt", ".done.json.b", ".failed.json.c", "a/b"]


def _write(folder: Path, names: list[str]) -> list[Path]:
    files = [folder / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    return files


def _state(root: Path) -> str:
    return run_plan_silently(make_fake_plan(ONE), root, launch_in_thread)[ONE.signature].state


def test_a_run_leaves_what_it_did_not_write(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder_of(ONE)
    mine = _write(folder, NAMES)
    assert _state(tmp_path) == "done"
    assert all(file.read_text() == "mine" for file in mine)


def test_so_does_one_that_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    assert _state(tmp_path) == "done"
    folder = Store(tmp_path).folder_of(ONE)
    mine, left = _write(folder, NAMES), _write(folder, ["work.7/a", "checkpoints/a", ".lease." + "a" * 32])
    assert LeaseManager("a run that is over").take(folder)
    assert _state(tmp_path) == "done"
    assert all(file.read_text() == "mine" for file in mine)
    assert not any(file.exists() for file in (*left, folder / "lease.0"))


def test_nothing_is_cleared_behind_a_link(tmp_path: Path) -> None:
    assert _state(tmp_path) == "done"
    folder = Store(tmp_path).folder_of(ONE)
    elsewhere = folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(elsewhere)
    left = _write(elsewhere, ["checkpoints/a"])
    assert _state(tmp_path) == "done"
    assert left[0].exists()


@pytest.mark.parametrize("name", ["exp1", "0" * 16, "0123456789abcdef"])
def test_runs_of_other_programs_stay(name: str, tmp_path: Path) -> None:
    mine = _write(tmp_path / "runs" / name, ["run.json", "events.out"])
    assert _state(tmp_path) == "done"
    assert all(file.read_text() == "mine" for file in mine)


def test_all_that_a_stage_writes_is_known_as_ours(tmp_path: Path) -> None:
    """What is not listed in FILES would never be removed."""
    run_plan_silently(
        make_fake_plan(ONE, make_fake_node("bad", stage="fail", how="stage")), tmp_path, launch_in_processes
    )
    folders = [folder for _, folder in Store(tmp_path).list_folders()]
    assert len(folders) == 2
    assert [list_foreign(folder) for folder in folders] == [[], []]
    assert all(list_owned(folder) for folder in folders)


def test_what_somebody_put_beside_a_void_time_stays_when_it_is_forgotten(tmp_path: Path) -> None:
    assert _state(tmp_path) == "done"
    folder = Store(tmp_path).folder_of(ONE)
    record = folder / "done.json"
    record.write_text(record.read_text().replace('"result": {', '"result": {"void": true, '))
    (mine,) = _write(folder, ["notes.txt"])
    assert remove_for_retry("void", make_fake_plan(ONE), Store(tmp_path)) == 1
    assert [path.name for path in folder.iterdir()] == [mine.name]
    assert _state(tmp_path) == "done"
