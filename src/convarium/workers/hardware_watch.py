"""What no worker of a run can take, because times and executions are for hardware that none of them has."""

import json
import time
from collections.abc import Iterable, Sequence

from convarium.host.hardware import Hardware, describe_wanted
from convarium.planning.plan import Node
from convarium.store.signature import canonical_json
from convarium.workers.backend import Job
from convarium.workers.lease import LeaseManager
from convarium.workers.places import read_place_hardware
from convarium.workers.run_file import Run


class HardwareWatch:
    """Notes since when no worker of a run has had the hardware that ready nodes were for.

    No time counts while nobody works, or a job waits to start: it may bring the hardware.

    Args:
        idle_seconds: after so long without such a worker a node is given up.
    """

    def __init__(self, run: Run, idle_seconds: float) -> None:
        self._run, self._idle_seconds = run, idle_seconds
        self._leases = LeaseManager(run.id)
        self._missing_since: dict[str, float] = {}  # by the hardware's JSON

    def find_given_up(self, ready: Iterable[Node], jobs: Sequence[Job]) -> dict[str, str]:
        """Return, by signature, the ready nodes that are given up, and why in one line."""
        for_hardware = [node for node in ready if "hardware" in node.runtime]
        wanted = {node.signature: canonical_json(node.runtime["hardware"]) for node in for_hardware}
        watched = self._missing_since.keys() | set(wanted.values())
        if not watched:
            return {}
        places = read_place_hardware(self._run, self._leases).values()
        living = [hardware for hardware, is_alive in places if is_alive]
        if not living or any(job.state == "waiting" for job in jobs):
            self._missing_since = {}
            return {}
        now = time.monotonic()
        missing = {key for key in watched if not any(hardware.fits(json.loads(key)) for hardware in living)}
        self._missing_since = {key: self._missing_since.get(key, now) for key in missing}
        return {
            signature: _explain(key, [hardware for hardware, _ in places])
            for signature, key in wanted.items()
            if key in missing and now - self._missing_since[key] >= self._idle_seconds
        }


def _explain(wanted_json: str, places: Iterable[Hardware]) -> str:
    wanted = json.loads(wanted_json)
    others = "; ".join(dict.fromkeys(hardware.describe(wanted) for hardware in places if not hardware.fits(wanted)))
    return f"no worker ran on {describe_wanted(wanted)}; these did: {others}"
