import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from convarium.host import memory_kills as memory_kills_module
from convarium.host.memory_kills import MemoryKills
from convarium.host.process import current_process
from convarium.workers import lease as lease_module
from convarium.workers.death import Death
from convarium.workers.lease import Lease, LeaseLost, LeaseManager
from convarium.workers.lease_file import (
    LEASE_FILE_BYTES,
    find_lease_number,
    remove_leases,
)
from convarium.workers.slurm_job import SlurmJob
from store.fake_run import SUBPROCESS_ENVIRONMENT
from waiting import wait_until

HOLDER = """
import json, sys, time
from pathlib import Path
from convarium.workers.lease import LeaseManager
lease = LeaseManager(sys.argv[2]).take(Path(sys.argv[1]), *map(json.loads, sys.argv[3:]))
print("lost" if lease is None else lease.number, flush=True)
sys.stdin.read()
"""
RACER = """
import sys, time
from pathlib import Path
from convarium.workers.lease import LeaseManager
leases = LeaseManager("run")
for line in sys.stdin:
    folder, moment = line.split()
    while time.time() < float(moment):
        pass
    print("lost" if leases.take(Path(folder)) is None else "won", flush=True)
"""


def _process(code: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=SUBPROCESS_ENVIRONMENT,
    )


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """A folder whose owner was killed."""
    _kill_an_owner(tmp_path, "run")
    return tmp_path


def _kill_an_owner(folder: Path, run: str) -> None:
    process = _process(HOLDER, str(folder), run)
    assert _line(process) != "lost"
    process.send_signal(signal.SIGKILL)
    process.wait()


def _take(leases: LeaseManager, folder: Path) -> Lease:
    lease = leases.take(folder)
    assert lease is not None
    return lease


def _take_and_release(leases: LeaseManager, folder: Path) -> Lease:
    lease = _take(leases, folder)
    lease.release()
    return lease


def test_an_owned_folder_cant_be_taken_until_it_is_released(tmp_path: Path) -> None:
    lease = _take(LeaseManager("a"), tmp_path)
    assert LeaseManager("b").take(tmp_path) is None
    lease.check()
    lease.release()
    assert _take(LeaseManager("b"), tmp_path).number == 1


def test_a_released_lease_is_lost(tmp_path: Path) -> None:
    lease = _take(LeaseManager("a"), tmp_path)
    lease.release()
    _take(LeaseManager("b"), tmp_path)
    with pytest.raises(LeaseLost):
        lease.check()


def test_a_dead_process_on_this_host_is_stale_at_once(dead: Path) -> None:
    assert _take(LeaseManager("run"), dead).number == 1
    assert [path.name for path in dead.iterdir()] == ["lease.1"]


def test_a_process_that_died_and_was_not_waited_for_is_dead(tmp_path: Path) -> None:
    process = _process(HOLDER, str(tmp_path), "run")
    _line(process)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert LeaseManager("run").take(tmp_path) is not None
    process.wait()


def test_a_number_given_to_a_new_process_does_not_revive_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor = replace(current_process(), start="1")
    monkeypatch.setattr(lease_module, "current_process", lambda: impostor)
    _take(LeaseManager("a"), tmp_path)
    assert LeaseManager("b").take(tmp_path) is not None


def test_deaths_are_counted_within_a_run(tmp_path: Path) -> None:
    for deaths in range(3):
        assert LeaseManager("run").count_deaths(LeaseManager("run").read(tmp_path)) == deaths
        _kill_an_owner(tmp_path, "run")
    assert _take(LeaseManager("another run"), tmp_path).deaths == 0


def test_deaths_before_a_checkpoint_count_no_more(tmp_path: Path) -> None:
    _kill_an_owner(tmp_path, "run")
    lease = _take(LeaseManager("run"), tmp_path)
    assert lease.deaths == 1
    lease.note_progress()
    lease.release()
    assert LeaseManager("run").count_deaths(LeaseManager("run").read(tmp_path)) == 0
    assert _take(LeaseManager("run"), tmp_path).deaths == 0


def test_the_next_owner_knows_of_a_death_only_what_is_certain(dead: Path) -> None:
    death = _take(LeaseManager("run"), dead).last_death
    assert (death.cause, death.line) == ("killed", "its process was gone, and nobody saw why")
    assert death.host == current_process().host


def test_an_owner_that_the_kernel_killed_for_want_of_memory_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = MemoryKills(group=1, count=4)
    details = {"memory_kills": asdict(kills)}
    monkeypatch.setattr(memory_kills_module, "read_memory_kills", lambda root: replace(kills, count=5))
    process = _process(HOLDER, str(tmp_path), "run", json.dumps(details))
    assert _line(process) != "lost"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert _take(LeaseManager("run"), tmp_path).last_death.cause == "out of memory"


def test_a_lease_of_a_long_host_and_job_fits_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is padded to a constant length; a longer one would leave its end behind."""
    long_host = replace(current_process(), host="h" * 64, pid=4194304, start="9" * 12)
    monkeypatch.setattr(lease_module, "current_process", lambda: long_host)
    kills = {"memory_kills": {"group": 1 << 62, "count": 1 << 40}}
    details = {**SlurmJob("4711111111_1000000", 1000).to_details(), **kills}
    leases = LeaseManager("f" * 16)
    first = leases.take(tmp_path, details)
    assert first is not None
    line = "killed by SIGKILL, by a person or by the kernel for want of memory, or anything as long as that"
    assert leases.mark_dead(tmp_path, first.token, Death("out of memory", line, "h" * 64, "4711111111_1000000"))
    second = leases.take(tmp_path, details)
    assert second is not None
    assert (tmp_path / f"lease.{second.number}").stat().st_size == LEASE_FILE_BYTES


def test_who_left_for_want_of_time_without_a_checkpoint_is_counted(tmp_path: Path) -> None:
    for leaves in (1, 2):
        lease = _take(LeaseManager("run"), tmp_path)
        lease.note_time_over()
        lease.release()
        assert _take_and_release(LeaseManager("run"), tmp_path).leaves == leaves
    assert _take_and_release(LeaseManager("another run"), tmp_path).leaves == 0


def test_a_checkpoint_sets_leaves_to_none_and_who_made_one_counts_none(tmp_path: Path) -> None:
    first = _take(LeaseManager("run"), tmp_path)
    first.note_time_over()
    first.release()
    second = _take(LeaseManager("run"), tmp_path)
    second.note_progress()
    second.note_time_over()
    second.release()
    assert _take_and_release(LeaseManager("run"), tmp_path).leaves == 0


def test_a_death_forgets_no_leave(tmp_path: Path) -> None:
    first = _take(LeaseManager("run"), tmp_path)
    first.note_time_over()
    first.release()
    second = _take(LeaseManager("run"), tmp_path)
    assert LeaseManager("run").mark_dead(tmp_path, second.token)
    third = _take(LeaseManager("run"), tmp_path)
    assert (third.deaths, third.leaves) == (1, 1)


def test_owners_on_other_hosts_are_stale_when_their_counter_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(current_process(), host="elsewhere")
    reader = LeaseManager("here", timeout_seconds=0.3)
    with monkeypatch.context() as patched:
        patched.setattr(lease_module, "current_process", lambda: elsewhere)
        lease = _take(LeaseManager("there", heartbeat_seconds=0.05), tmp_path)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        assert reader.take(tmp_path) is None, "it beats"
        time.sleep(0.02)
    lease._ended.set()  # it is killed: nothing beats any more, nothing was released
    began = time.monotonic()
    while reader.take(tmp_path) is None:
        time.sleep(0.02)
    assert 0.2 < time.monotonic() - began < 2
    with pytest.raises(LeaseLost):
        lease.check()


def test_a_host_of_which_nothing_is_heard_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = replace(current_process(), host="elsewhere")
    with monkeypatch.context() as patched:
        patched.setattr(lease_module, "current_process", lambda: elsewhere)
        lease = _take(LeaseManager("run"), tmp_path)
        lease._ended.set()  # it is gone with its host
    reader = LeaseManager("run", timeout_seconds=0.1)
    assert reader.take(tmp_path) is None
    time.sleep(0.15)
    death = _take(reader, tmp_path).last_death
    assert (death.cause, death.host) == ("lost node", "elsewhere")


def test_who_removes_its_leases_does_not_seem_to_stand_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first heartbeat once more would look to others as if there had been none since."""
    lease = _take(LeaseManager("run", heartbeat_seconds=0.01), tmp_path)
    first_content = (tmp_path / "lease.0").read_bytes()
    wait_until(lambda: (tmp_path / "lease.0").read_bytes() != first_content)
    monkeypatch.setattr(lease_module, "remove_leases", lambda folder: None)
    lease.remove()
    assert (tmp_path / "lease.0").read_bytes() != first_content


def test_damaged_leases_are_stale_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "lease.4").write_bytes(b"\x00nonsense")
    reader = LeaseManager("run", timeout_seconds=0.1)
    assert reader.take(tmp_path) is None
    time.sleep(0.15)
    assert _take(reader, tmp_path).number == 5


def test_a_file_whose_number_is_none_is_no_lease(tmp_path: Path) -> None:
    (tmp_path / "lease.²").touch()
    assert _take(LeaseManager("run"), tmp_path).number == 0


def test_beating_does_not_touch_the_file_after_the_end(tmp_path: Path) -> None:
    lease = _take(LeaseManager("run", heartbeat_seconds=0.001), tmp_path)
    time.sleep(0.02)
    lease.remove()
    assert list(tmp_path.iterdir()) == []
    with (tmp_path / "other").open("wb+") as other:
        time.sleep(0.02)
        assert other.read() == b""


def _race(takers: int, folder: Path, take: Callable[[], object]) -> int:
    barrier, won = threading.Barrier(takers), []

    def taker() -> None:
        barrier.wait()
        if take() is not None:
            won.append(1)

    threads = [threading.Thread(target=taker) for _ in range(takers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(won)


def test_of_eight_threads_exactly_one_owns(tmp_path: Path) -> None:
    for index in range(50):
        folder = tmp_path / str(index)
        folder.mkdir()
        assert _race(8, folder, lambda folder=folder: LeaseManager("run").take(folder)) == 1
        assert find_lease_number(folder) == 0


def test_of_eight_takers_over_exactly_one_owns(dead: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = (dead / "lease.0").read_bytes()
    for index in range(50):
        folder = tmp_path_factory.mktemp(f"round{index}")
        (folder / "lease.0").write_bytes(content)
        assert _race(8, folder, lambda folder=folder: LeaseManager("run").take(folder)) == 1


def test_a_taker_that_saw_the_dead_owner_long_ago_gets_nothing(dead: Path) -> None:
    slow = LeaseManager("run")
    seen = slow.read(dead)
    owner = _take(LeaseManager("run"), dead)
    owner.release()
    newest = _take(LeaseManager("run"), dead)
    slow.read = lambda folder: seen  # type: ignore[method-assign]
    assert slow.take(dead) is None
    newest.check()


def test_of_four_processes_exactly_one_owns(tmp_path: Path, dead: Path) -> None:
    content = (dead / "lease.0").read_bytes()
    racers = [_process(RACER) for _ in range(4)]
    for index in range(50):
        folder = tmp_path / f"round{index}"
        folder.mkdir()
        if index % 2:
            (folder / "lease.0").write_bytes(content)
        moment = time.time() + 0.02
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write(f"{folder} {moment}\n")
            racer.stdin.flush()
        assert sorted(_line(racer) for racer in racers) == ["lost", "lost", "lost", "won"]
    for racer in racers:
        racer.kill()
        racer.wait()


def test_who_slept_while_the_result_was_finished_does_not_own_a_later_lease_of_the_same_number(tmp_path: Path) -> None:
    sleeper = LeaseManager("run").take(tmp_path)
    assert sleeper is not None
    remove_leases(tmp_path)  # whoever took it over has finished
    latecomer = LeaseManager("run").take(tmp_path)  # on its way to see that all is done
    assert latecomer is not None
    assert latecomer.number == sleeper.number
    latecomer.check()
    with pytest.raises(LeaseLost):
        sleeper.check()


def test_a_taker_whose_new_lease_is_gone_before_its_first_heartbeat_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_too_late(*arguments: object) -> int:
        remove_leases(tmp_path)
        raise FileNotFoundError(2, "No such file or directory")

    with monkeypatch.context() as patches:
        patches.setattr(lease_module.os, "open", open_too_late)
        assert LeaseManager("run").take(tmp_path) is None
    assert LeaseManager("run").take(tmp_path) is not None
