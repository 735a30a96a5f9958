"""How long whoever looks at something again and again pauses between two looks."""

PAUSE_TO_WORK_RATIO = 20.0
MAX_PAUSE_SECONDS = 60.0


def compute_pause(work_seconds: float) -> float:
    """Return the seconds to pause after work of so many: so it takes at most a twenty-first of the time.

    A disk that hung for minutes, or a host that was out of memory, does not put the next look off for an hour.
    """
    return min(PAUSE_TO_WORK_RATIO * work_seconds, MAX_PAUSE_SECONDS)
