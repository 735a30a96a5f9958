"""A stage in ranks: the first alone writes, and a rank's fall is told in its own words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convarium.host.process import current_process
from convarium.store import disk
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store
from convarium.workers.ranks import run_stage_in_ranks
from convarium.workers.runtime import Runtime
from store.fake_run import launch_in_thread, make_fake_node, make_fake_plan, run_plan_silently
from waiting import wait_until

FALLS = {
    "raise": "rank 1: ValueError: deliberate",
    "user": "no such thing: take another",
    "differ": "rank 1 has another result than rank 0",
}


def test_only_the_first_rank_reports_and_the_record_says_how_many_there_were(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    node = make_fake_node("shared", stage="share", journal=journal, how="")
    node.runtime["devices"] = 2
    run_plan_silently(make_fake_plan(node), tmp_path / "store", launch_in_thread, workers=1)
    store = Store(tmp_path / "store")
    record, folder = store.find_record(node.signature), store.find_folder(node.signature)
    assert record is not None
    assert folder is not None
    assert (record["ranks"], record["result"]) == (2, {"metrics": {}, "told": False})
    assert record["device"] == "cpu"
    assert record["peak_memory_bytes"] > 1e7
    assert ResultFolder(folder).network.read_text() == "1.0"
    assert len(ResultFolder(folder).curves.read_text().splitlines()) == 1
    begun = [line.rsplit(" ", 1) for line in journal.read_text().splitlines()]
    assert {text for text, _ in begun} == {"rank 0 of 2", "rank 1 of 2"}
    assert str(current_process().pid) not in {pid for _, pid in begun}


@pytest.mark.parametrize("how", FALLS)
def test_a_rank_that_falls_fails_its_stage_in_its_own_words(how: str, tmp_path: Path) -> None:
    node = make_fake_node("shared", stage="share", how=how)
    node.runtime["devices"] = 2
    run_plan_silently(make_fake_plan(node), tmp_path, launch_in_thread, workers=1)
    failure = disk.read_json_object(ResultFolder(Store(tmp_path).folder_of(node)).failure, {"error": str})
    assert failure is not None
    assert failure["error"] == FALLS[how]
    assert failure["mistake"] == (how == "user")
    if how == "raise":
        assert 'raise ValueError("deliberate")' in failure["traceback"]


def test_a_stage_one_of_whose_ranks_is_killed_is_begun_again_and_fails_after_three_times(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    node = make_fake_node("shared", stage="share", how="killed", journal=journal)
    node.runtime["devices"] = 2
    (status,) = run_plan_silently(make_fake_plan(node), tmp_path / "store", launch_in_thread, workers=1).values()
    assert status.cause == "killed"
    assert status.error is not None
    assert "its processes were lost 3 times without a checkpoint in between" in status.error
    assert status.error.endswith("rank 1 was killed by SIGKILL, by a person or by the kernel for want of memory")
    assert len(journal.read_text().splitlines()) == 3 * 2


def test_what_the_worker_raises_when_it_is_asked_ends_the_ranks(tmp_path: Path) -> None:
    class LeftError(BaseException):
        pass

    def leave() -> None:
        raise LeftError

    journal = tmp_path / "journal"
    node = make_fake_node("shared", stage="share", how="checkpoint")
    with pytest.raises(LeftError):
        run_stage_in_ranks(node, (), build_runtime(tmp_path, journal, note_checkpoint=leave), 2, ResultFolder(tmp_path))
    pids = [int(line.split()[-1]) for line in journal.read_text().splitlines()]
    assert len(pids) == 2
    wait_until(lambda: not any(is_running(pid) for pid in pids))


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def build_runtime(folder: Path, journal: Path, note_checkpoint: Callable[[], None]) -> Runtime:
    def report(**figures: Any) -> None:
        raise AssertionError("ranks report by themselves")

    return Runtime(
        folder=folder, checkpoint_folder=folder, threads=2, accelerator="cpu", data_root=str(journal), report=report,
        check_lease=lambda: None, run_fresh=lambda *_: None, note_checkpoint=note_checkpoint,
    )  # fmt: skip
