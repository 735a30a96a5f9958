"""What must hold where one controller after another takes an open run over, in random schedules."""

from pathlib import Path

from random_schedules.fake_controllers import run_controller_schedule

SCHEDULES = 400


def test_who_lost_the_run_changes_nothing_and_workers_follow_the_newest_plan(tmp_path: Path) -> None:
    for seed in range(SCHEDULES):
        run_controller_schedule(seed, tmp_path / str(seed))
