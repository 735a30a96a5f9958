"""What must hold for those who share a host's room and those who want it alone, in random schedules."""

from pathlib import Path

from random_schedules.fake_room import run_room_schedule

SCHEDULES = 400


def test_every_waiter_gets_the_room_alone_and_others_get_in_meanwhile(tmp_path: Path) -> None:
    for seed in range(SCHEDULES):
        run_room_schedule(seed, tmp_path / str(seed))
