"""What must hold for the workers of a run whatever happens between any two of their steps, in random schedules."""

from pathlib import Path

import pytest

from random_schedules.fake_workers import run_worker_schedule

SCHEDULES_PER_TEST = 400  # in parts, which run side by side


@pytest.mark.parametrize("part", range(3))
def test_no_two_owners_write_nothing_runs_again_and_no_node_is_lost(tmp_path: Path, part: int) -> None:
    for seed in range(part * SCHEDULES_PER_TEST, (part + 1) * SCHEDULES_PER_TEST):
        run_worker_schedule(seed, tmp_path / str(seed))
