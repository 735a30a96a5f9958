"""The host's room is one for all users; who waits to be alone in it shuts the door, but not for ever."""

import json
import multiprocessing
import os
import stat
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from convarium.host import room as room_module
from convarium.host.room import HostRoom, RoomPlace
from shared_folder import make_world_writable


@pytest.fixture
def room(tmp_path: Path) -> HostRoom:
    """The room of a host of its own."""
    return HostRoom(tmp_path)


@pytest.fixture
def strict_umask() -> Iterator[None]:
    """The umask of somebody who keeps everything to himself."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def _enter(room: HostRoom) -> RoomPlace:
    place = room.try_enter()
    assert place is not None
    return place


def test_many_share_the_room_and_one_alone_keeps_all_others_out(room: HostRoom) -> None:
    places = [_enter(room) for _ in range(3)]
    assert room.try_enter_alone() is None
    for place in places:
        place.leave()
    alone = room.try_enter_alone()
    assert alone is not None
    assert room.try_enter() is None
    assert room.try_enter_alone() is None
    alone.leave()
    _enter(room).leave()


def test_who_waits_shuts_the_door_and_gets_the_room_when_the_last_leaves(room: HostRoom) -> None:
    first = _enter(room)
    entered_while_waiting: list[RoomPlace | None] = []

    def look_on() -> bool:
        entered_while_waiting.append(room.try_enter())
        if len(entered_while_waiting) == 3:
            first.leave()
        return True

    alone = room.wait_alone(look_on)
    assert alone is not None
    assert entered_while_waiting[:3] == [None, None, None]
    alone.leave()
    _enter(room).leave()


def test_only_one_keeps_the_door(room: HostRoom) -> None:
    place = _enter(room)
    answers: list[RoomPlace | None] = []

    def let_another_wait() -> bool:
        answers.append(HostRoom(room.room_file.parent).wait_alone(lambda: True))
        place.leave()
        return True

    alone = room.wait_alone(let_another_wait)
    assert alone is not None
    assert answers[0] is None


def test_the_door_opens_again_for_as_long_as_it_was_kept_and_is_kept_twice_as_long_next_time(
    room: HostRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr(room_module, "_read_boot_clock", lambda: clock)
    monkeypatch.setattr(room_module, "POLL_SECONDS", 0.0)
    long_stage = _enter(room)

    def keep_the_door() -> float:
        """How long it was kept, in steps of ten seconds."""
        nonlocal clock
        start = clock

        def wait_ten_seconds() -> bool:
            nonlocal clock
            assert room.try_enter() is None
            clock += 10
            return True

        assert room.wait_alone(wait_ten_seconds) is None
        return clock - start

    assert keep_the_door() == 60
    assert keep_the_door() == 0, "it has to stay open"
    _enter(room).leave()
    clock += 59
    assert keep_the_door() == 0
    clock += 1
    assert keep_the_door() == 120
    clock += 120
    long_stage.leave()
    alone = room.wait_alone(lambda: True)
    assert alone is not None
    alone.leave()
    long_stage = _enter(room)
    assert keep_the_door() == 60, "who got the room has begun anew"


def test_a_door_that_an_earlier_boot_left_is_not_kept_open(room: HostRoom) -> None:
    _enter(room).leave()
    state = {"boot": "another", "kept_seconds": 3600.0, "open_until": 1e12}
    room.door_file.write_text(json.dumps(state))
    place = _enter(room)
    looks = iter([True, True])
    assert room.wait_alone(lambda: next(looks, False)) is None
    assert next(looks, None) is None, "it did wait"
    place.leave()


def test_a_stage_that_needs_the_room_for_a_while_gives_its_place_back_and_takes_one_again(room: HostRoom) -> None:
    mine, other = _enter(room), _enter(room)
    threading.Timer(0.3, other.leave).start()
    with mine.hold_alone(lambda: None):
        assert room.try_enter() is None
    assert room.try_enter_alone() is None
    mine.leave()
    whole = room.try_enter_alone()
    assert whole is not None
    with whole.hold_alone(lambda: pytest.fail("it is alone already")):
        pass
    whole.leave()


def test_two_stages_that_both_need_the_room_for_a_while_get_it_in_turn(room: HostRoom) -> None:
    spans: list[tuple[float, float]] = []

    def time_alone(place: RoomPlace) -> None:
        with place.hold_alone(lambda: None):
            start = time.monotonic()
            time.sleep(0.1)
            spans.append((start, time.monotonic()))
        place.leave()

    threads = [threading.Thread(target=time_alone, args=(_enter(room),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(spans) == 3
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_file_that_a_cleaner_removes_is_made_anew_for_all(room: HostRoom) -> None:
    place = _enter(room)
    room.room_file.unlink()
    alone = room.try_enter_alone()
    assert alone is not None
    assert room.try_enter() is None
    place.leave()


def test_it_names_who_is_in_the_room(room: HostRoom) -> None:
    place = _enter(room)
    if not Path("/proc/locks").exists():
        pytest.skip("only Linux lists the locks of its processes")
    assert str(os.getpid()) in room.describe_wait()
    place.leave()


def test_the_files_are_made_for_all_users(strict_umask: None, room: HostRoom) -> None:
    _enter(room).leave()
    assert stat.S_IMODE(room.room_file.stat().st_mode) == stat.S_IMODE(room.door_file.stat().st_mode) == 0o666


def _enter_as_another_user(folder: Path, answers: "multiprocessing.Queue[str]") -> None:
    os.setgroups([])
    os.setgid(4321)
    os.setuid(4321)
    try:
        place = HostRoom(folder).wait_alone(lambda: True)
        answers.put("alone" if place else "refused")
    except OSError as error:
        answers.put(f"{type(error).__name__}: {error}")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(
    ("mode", "answer"),
    [(None, "alone"), (0o644, "alone"), (0o600, "PermissionError: [Errno 13] It is for all users, but not readable")],
)
def test_another_user_can_enter(mode: int | None, answer: str, strict_umask: None, room: HostRoom) -> None:
    make_world_writable(room.room_file.parent)
    _enter(room).leave()
    if mode is not None:
        room.room_file.chmod(mode)
        room.door_file.chmod(mode)
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_enter_as_another_user, args=(room.room_file.parent, answers))
    child.start()
    assert answers.get(timeout=30).startswith(answer)
    child.join()


def test_a_killed_process_gives_its_place_back(room: HostRoom) -> None:
    def occupy(ready: "multiprocessing.Queue[int]") -> None:
        _enter(room)
        ready.put(1)
        time.sleep(600)

    context = multiprocessing.get_context("fork")
    ready: multiprocessing.Queue[int] = context.Queue()
    child = context.Process(target=occupy, args=(ready,))
    child.start()
    ready.get(timeout=30)
    assert room.try_enter_alone() is None
    child.kill()
    child.join()
    assert room.try_enter_alone() is not None
