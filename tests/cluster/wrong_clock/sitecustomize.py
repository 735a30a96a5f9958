"""What Python imports first under a wrong clock: faketime's library refuses the call that `time.sleep` makes."""

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep
