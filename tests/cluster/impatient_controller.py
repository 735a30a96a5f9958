"""`python -m cluster.impatient_controller STORE JOURNAL`: control an open run that adds one fake stage after another.

Where the controller of another host is not heard of for seconds, this one takes its run over.
"""

import sys
from functools import partial
from pathlib import Path

from cluster.impatient_work import HEARTBEAT_SECONDS, TIMEOUT_SECONDS
from convarium.workers.lease import LeaseManager
from store import fake_open_run
from store.fake_run import make_fake_node

STAGE_NAMES = [f"n{index}" for index in range(30)]


def main() -> None:
    """Have all stages made; go on where another controller was killed."""
    fake_open_run.LeaseManager = partial(  # type: ignore[assignment,misc,attr-defined]
        LeaseManager, heartbeat_seconds=HEARTBEAT_SECONDS, timeout_seconds=TIMEOUT_SECONDS
    )
    owner, open_run = fake_open_run.begin_open_run(Path(sys.argv[1]))
    journal = Path(sys.argv[2])
    nodes = [make_fake_node(name, journal=journal, seconds=0.1, epochs=3) for name in STAGE_NAMES]
    fake_open_run.grow(open_run, nodes, in_flight=4)
    open_run.end()
    owner.release()


if __name__ == "__main__":
    main()
