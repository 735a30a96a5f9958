"""`python -m cluster.impatient_work RUN` is `convarium work RUN` with leases that time out after seconds."""

import sys
from functools import partial

from convarium.cli import main
from convarium.workers import worker
from convarium.workers.lease import LeaseManager

HEARTBEAT_SECONDS, TIMEOUT_SECONDS = 0.5, 8.0


def shorten_leases() -> None:
    """Have this process's workers beat often, and take over after seconds what is not heard of."""
    worker.LeaseManager = partial(  # type: ignore[assignment,misc]
        LeaseManager, heartbeat_seconds=HEARTBEAT_SECONDS, timeout_seconds=TIMEOUT_SECONDS
    )


if __name__ == "__main__":
    shorten_leases()
    sys.exit(main(["work", sys.argv[1]]))
