import pytest

from convarium.pause import compute_pause


def test_pauses_are_twenty_times_as_long_as_the_work_before_them() -> None:
    assert compute_pause(0.5) == pytest.approx(10.0)


def test_work_that_something_held_up_for_an_hour_puts_the_next_off_for_a_minute() -> None:
    assert compute_pause(3600.0) == 60.0
