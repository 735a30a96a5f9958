"""Waits of tests, each with an end: what never comes about fails its test and not the whole suite."""

import time
from collections.abc import Callable


def wait_until(is_so: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"it did not come about within {seconds:g} s"
        time.sleep(0.01)
