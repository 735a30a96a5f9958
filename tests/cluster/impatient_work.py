"""`convarium work RUN` with leases that time out after seconds."""

import sys
from functools import partial

from convarium.cli import main
from convarium.workers import worker
from convarium.workers.lease import LeaseManager

HEARTBEAT_SECONDS, TIMEOUT_SECONDS = 0.5, 6.0


if __name__ == "__main__":
    worker.LeaseManager = partial(  # type: ignore[assignment,misc]
        LeaseManager, heartbeat_seconds=HEARTBEAT_SECONDS, timeout_seconds=TIMEOUT_SECONDS
    )
    sys.exit(main(["work", sys.argv[1]]))
