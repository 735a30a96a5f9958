"""A store's disk is tried: what it can't do is said with what mends it, and nothing is left on it."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from convarium.doctor import disk_checks, rival, rivals
from convarium.doctor.disk_checks import check_disk, make_trial_folder
from convarium.doctor.finding import Finding

GREEDY_RIVAL = "import sys; print('ready', flush=True); sys.stdin.readline(); print(list(range(int(sys.argv[3]))))"
BLIND_RIVAL = """
import sys
if sys.argv[1] == "lock":
    print("true")
else:
    print("ready", flush=True); sys.stdin.readline(); print("[]")
"""
SLEEPY_RIVAL = "import time; print('ready', flush=True); time.sleep(60)"


class Room(NamedTuple):
    """What `shutil.disk_usage` tells."""

    total: int
    used: int
    free: int


def find_not_ok(folder: Path) -> dict[str, str]:
    """Return the messages of what is not ok on a disk."""
    return {finding.name: finding.message for finding in check_disk(folder) if not finding.is_ok}


def replace_rival(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another second process take part in races."""
    file = folder / "other_rival.py"
    file.write_text(code)
    monkeypatch.setattr(rival, "__file__", str(file))


def test_a_good_disk_is_ok_in_all(tmp_path: Path) -> None:
    findings = check_disk(tmp_path)
    assert len(findings) == 7
    assert [finding.message for finding in findings if not finding.is_ok] == []


def test_a_store_that_is_not_there_is_not_there_afterwards(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b" / "store"
    with make_trial_folder(root) as folder:
        assert all(finding.is_ok for finding in check_disk(folder))
        assert any(folder.iterdir())
    assert not any(tmp_path.iterdir())


def test_what_others_write_meanwhile_stays(tmp_path: Path) -> None:
    root = tmp_path / "a" / "store"
    with make_trial_folder(root):
        (root / "store.json").write_text("{}")
    assert [path.name for path in root.iterdir()] == ["store.json"]


@pytest.mark.parametrize("action", ["create", "link"])
def test_two_real_processes_never_get_the_same_name(action: str, tmp_path: Path) -> None:
    assert rivals.count_undecided(action, tmp_path) == 0


def test_a_disk_on_which_both_get_a_name_is_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_rival(GREEDY_RIVAL, tmp_path, monkeypatch)
    messages = find_not_ok(tmp_path)
    for check in ("exclusive create", "hard links"):
        assert (
            "200 were not exactly one's: two workers would make the same; set another runtime.store" in messages[check]
        )


def test_a_disk_that_does_not_answer_is_waited_for_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "RIVAL_TIMEOUT_SECONDS", 0.5)
    replace_rival(SLEEPY_RIVAL, tmp_path, monkeypatch)
    assert find_not_ok(tmp_path)["exclusive create"].startswith("the disk has not answered for ")


def test_locks_that_only_one_process_sees_are_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_rival(BLIND_RIVAL, tmp_path, monkeypatch)
    said = find_not_ok(tmp_path)["locks of the store"]
    assert said.startswith(f"what one process locks on {tmp_path} another one locks too: searches and decoded images")


def _refuse_links(*arguments: Any) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def _refuse_locks(*arguments: Any) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _tell_little_room(folder: Path) -> Room:
    return Room(100, 99, 1 << 29)


def keep_times_coarsely(step_ns: int) -> Callable[..., None]:
    """Return an `os.utime` of a disk that keeps times in such steps."""
    real_utime = os.utime

    def keep(file: Path, times: None = None, *, ns: tuple[int, int] | None = None) -> None:
        kept_ns = time.time_ns() if ns is None else ns[0] // step_ns * step_ns
        real_utime(file, ns=(kept_ns, kept_ns))

    return keep


@pytest.mark.parametrize(
    ("module", "function", "fault", "check", "words"),
    [
        (os, "link", _refuse_links, "hard links", "lies on a disk without hard links (Operation not permitted)"),
        (fcntl, "flock", _refuse_locks, "locks of the store", "Function not implemented: searches and decoded images"),
        (shutil, "disk_usage", _tell_little_room, "free room", "0.5 GiB free: convarium gc removes what"),
        (os, "utime", keep_times_coarsely(10**10), "times of files", "a file's time is kept 9 s wrong"),
    ],
)
def test_what_a_disk_lacks_is_said(
    module: Any,
    function: str,
    fault: Callable[..., Any],
    check: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, function, fault)
    messages = find_not_ok(tmp_path)
    assert list(messages) == [check]
    assert words in messages[check]


@pytest.mark.parametrize(
    ("wrong_seconds", "is_ok", "words"),
    [
        (30.0, True, "it is 30 s behind this host's"),
        (3600.0, False, "it is 3,600 s behind this host's: no result depends on it, but status and gc tell wrong ages"),
        (-90.0, False, "it is 90 s ahead of this host's"),
    ],
)
def test_a_clock_that_is_wrong_is_said(
    wrong_seconds: float, is_ok: bool, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_time = disk_checks.time.time
    monkeypatch.setattr(disk_checks.time, "time", lambda: real_time() + wrong_seconds)
    finding = _find(check_disk(tmp_path), "clock of the disk")
    assert finding.is_ok == is_ok
    assert finding.message.startswith(words)


@pytest.mark.parametrize(
    ("step_ns", "words"),
    [(2 * 10**9, "to 2 s"), (10**9, "to 1 s"), (10**6, "to a millisecond"), (100, "to less than a microsecond")],
)
def test_how_finely_a_disk_keeps_times_is_said(
    step_ns: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "utime", keep_times_coarsely(step_ns))
    finding = _find(check_disk(tmp_path), "times of files")
    assert (finding.is_ok, finding.message) == (True, f"a file's time is kept {words}")


def _find(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)
