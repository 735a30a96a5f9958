"""The host's clock is one for all users, whatever the umask of who came first."""

import multiprocessing
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from convarium.host.timing_lock import hold_timing_lock
from shared_folder import make_world_writable


class Waited(Exception):
    """Somebody else holds the clock."""


def _give_up() -> None:
    raise Waited


@pytest.fixture
def umask() -> Iterator[None]:
    """The umask of somebody who keeps everything for himself."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_the_file_is_made_for_all_users(umask: None, tmp_path: Path) -> None:
    with hold_timing_lock(_give_up, tmp_path / "clock"):
        assert stat.S_IMODE((tmp_path / "clock").stat().st_mode) == 0o666
        with pytest.raises(Waited), hold_timing_lock(_give_up, tmp_path / "clock"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["clock"]


def _as_another_user(path: Path, answers: "multiprocessing.Queue[str]") -> None:
    os.setgroups([])
    os.setgid(4321)
    os.setuid(4321)
    try:
        with hold_timing_lock(_give_up, path):
            answers.put("held")
    except (Waited, OSError) as error:
        answers.put(f"{type(error).__name__}: {error}")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(
    ("mode", "said"),
    [(None, "held"), (0o644, "held"), (0o600, "PermissionError: [Errno 13] It is for all users, but not readable")],
)
def test_another_user_can_hold_it(mode: int | None, said: str, umask: None, tmp_path: Path) -> None:
    make_world_writable(tmp_path)
    with hold_timing_lock(_give_up, tmp_path / "clock"):
        pass
    if mode is not None:
        (tmp_path / "clock").chmod(mode)
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_as_another_user, args=(tmp_path / "clock", answers))
    child.start()
    assert answers.get(timeout=30).startswith(said)
    child.join()
