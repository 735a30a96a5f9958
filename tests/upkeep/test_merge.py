"""Results come whole: what somebody makes stays his, what was left half done is completed."""

import os
from pathlib import Path

import pytest

from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.upkeep import merge as merging
from convarium.upkeep.merge import merge_stores
from convarium.workers.lease import LeaseManager
from store.fake_run import launch_in_thread, make_fake_sweep, read_stored_results, run_plan_silently


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    made = make_fake_sweep(width=2, seconds=0.0, epochs=1)
    run_plan_silently(made, tmp_path / "there", launch_in_thread, workers=1)
    return made


def stores(tmp_path: Path) -> tuple[Store, Store]:
    return Store(tmp_path / "there"), Store(tmp_path / "here")


def test_files_are_linked_and_equal(made: Plan, tmp_path: Path) -> None:
    there, here = stores(tmp_path)
    found = merge_stores(there, here)
    assert (found.results, found.copied_bytes, found.plans) == (len(made.nodes), 0, 1)
    assert read_stored_results(tmp_path / "here") == read_stored_results(tmp_path / "there")
    node = next(iter(made.nodes.values()))
    assert (here.folder_of(node) / "network.cvm").samefile(there.folder_of(node) / "network.cvm")
    assert {path.name for path in here.folder_of(node).iterdir()} == {
        "done.json", "network.cvm", "curves.jsonl", "log.txt",
    }  # fmt: skip
    run_plan_silently(made, tmp_path / "here", launch_in_thread, workers=1)


def test_where_the_file_system_cant_link_files_are_copied(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        if source.is_relative_to(tmp_path / "there"):
            raise OSError("another device")
        link(source, target)

    there, here = stores(tmp_path)
    link = os.link
    monkeypatch.setattr(merging.os, "link", refuse)
    found = merge_stores(there, here)
    assert found.copied_bytes == found.bytes > 0
    assert read_stored_results(tmp_path / "here") == read_stored_results(tmp_path / "there")


def test_what_somebody_makes_at_the_moment_is_left_alone(made: Plan, tmp_path: Path) -> None:
    there, here = stores(tmp_path)
    node = next(iter(made.nodes.values()))
    here.folder_of(node).mkdir(parents=True)
    assert LeaseManager("somebody").take(here.folder_of(node))
    found = merge_stores(there, here)
    assert (found.busy, found.results) == ([node.signature], len(made.nodes) - 1)


def test_what_failed_or_was_stopped_is_completed_and_tidy(made: Plan, tmp_path: Path) -> None:
    there, here = stores(tmp_path)
    node = next(iter(made.nodes.values()))
    folder = here.folder_of(node)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "failed.json").write_text("{}")
    lease = LeaseManager("gone").take(folder)
    assert lease is not None
    lease.release()
    merge_stores(there, here)
    assert read_stored_results(tmp_path / "here") == read_stored_results(tmp_path / "there")
    assert not [path for path in folder.iterdir() if path.name.startswith(("lease", "work", "failed", "check"))]


class Killed(BaseException):
    """In place of a kill: nothing is tidied by what expects mistakes."""


@pytest.mark.parametrize("call", range(1, 18))
def test_a_kill_at_any_link_leaves_whole_results_and_the_next_merge_ends_it(
    call: int, made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = stores(tmp_path)
    for node in list(made.nodes.values())[:2]:
        (here.folder_of(node) / "checkpoints").mkdir(parents=True)  # was begun here
    link, calls = os.link, iter(range(1, 1000))

    def dies(source: Path, target: Path) -> None:
        if next(calls) == call:
            raise Killed
        link(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(merging.os, "link", dies)
        with pytest.raises(Killed):
            merge_stores(there, here)
    whole = read_stored_results(tmp_path / "there")
    after = Store(tmp_path / "here")
    for done in after.read_records():
        folder = after.find_folder(done["signature"])
        assert folder is not None
        assert (folder / "network.cvm").read_bytes() == whole[done["signature"]][2]["network.cvm"]
    if call % 2 == 1:  # what is half there is made here, and touches nothing of the other store
        run_plan_silently(made, tmp_path / "here", launch_in_thread, workers=1)
    merge_stores(there, Store(tmp_path / "here"))
    assert read_stored_results(tmp_path / "here") == read_stored_results(tmp_path / "there") == whole
