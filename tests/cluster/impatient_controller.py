"""`python -m cluster.impatient_controller STORE JOURNAL`: the controller of `store.fake_open_run`, which waits seconds.

So long it takes until it has the owner of a controller of another host that is not heard of any more.
"""

import sys
from functools import partial

from cluster.impatient_work import HEARTBEAT_SECONDS, TIMEOUT_SECONDS
from convarium.workers.lease import LeaseManager
from store import fake_open_run

if __name__ == "__main__":
    fake_open_run.LeaseManager = partial(  # type: ignore[assignment,misc,attr-defined]
        LeaseManager, heartbeat_seconds=HEARTBEAT_SECONDS, timeout_seconds=TIMEOUT_SECONDS
    )
    sys.exit(fake_open_run.main())  # type: ignore[func-returns-value]
