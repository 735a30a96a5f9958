"""What no worker of a run can take, because times and executions are for hardware that none of them has."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence

from convarium.errors import HardwareNotHere
from convarium.host.hardware import Hardware, describe_wanted
from convarium.planning.plan import Node
from convarium.store import disk
from convarium.store.signature import canonical_json
from convarium.store.store import Store
from convarium.workers.backend import Job
from convarium.workers.failure import Failure
from convarium.workers.lease import LeaseManager
from convarium.workers.places import read_place_hardware
from convarium.workers.run_file import Run
from convarium.workers.run_stage import StageRun


class HardwareWatch:
    """Counts for how long no worker of a run has had the hardware that ready nodes are for.

    No time counts while nobody works, and a job that waits to start ends the count: it may bring the hardware.
    """

    def __init__(self, run: Run, store: Store) -> None:
        self._run, self._store = run, store
        self._leases = LeaseManager(run.id)
        self._missing_seconds: dict[str, float] = {}  # by the hardware's JSON
        self._last_look = time.monotonic()

    def fail_unfit_nodes(self, ready: Iterable[Node], jobs: Sequence[Job]) -> bool:
        """Fail the ready nodes that no worker could take for the run's `idle_minutes`; return whether there are any."""
        bound_nodes = [node for node in ready if "hardware" in node.runtime]
        wanted = {node.signature: canonical_json(node.runtime["hardware"]) for node in bound_nodes}
        reasons = self._find_given_up(set(wanted.values()), jobs)
        unfit_nodes = [node for node in bound_nodes if wanted[node.signature] in reasons]
        for node in unfit_nodes:
            self._record_failure(node, reasons[wanted[node.signature]])
        return bool(unfit_nodes)

    def _find_given_up(self, wanted: set[str], jobs: Sequence[Job]) -> dict[str, str]:
        """Count on; return why hardware is given up, by its JSON."""
        now = time.monotonic()
        elapsed, self._last_look = now - self._last_look, now
        watched = self._missing_seconds.keys() | wanted
        if not watched:
            return {}
        places = read_place_hardware(self._run, self._leases).values()
        living = [hardware for hardware, is_alive in places if is_alive]
        has_waiting_job = any(job.state == "waiting" for job in jobs)
        if has_waiting_job:
            self._missing_seconds = {}
        if has_waiting_job or not living:
            return {}
        missing = [key for key in watched if not any(hardware.fits(json.loads(key)) for hardware in living)]
        self._missing_seconds = {key: self._missing_seconds.get(key, -elapsed) + elapsed for key in missing}
        lasting = [key for key in missing if self._missing_seconds[key] >= 60 * self._run.idle_minutes]
        return {key: _explain(json.loads(key), [hardware for hardware, _ in places]) for key in lasting}

    def _record_failure(self, node: Node, line: str) -> None:
        folder = self._store.folder_of(node)
        try:
            disk.make_folder(folder)
            lease = self._leases.take(folder)
        except OSError:
            self._run.record_failure(node.signature, {"error": line, "mistake": True, "kind": HardwareNotHere.kind})
            return
        if lease is not None:  # else a worker of another run makes it
            stage_run = StageRun(node, lease, self._store, self._run, threads=1)
            stage_run.record_failure(Failure(line, None, mistake=True, kind=HardwareNotHere.kind))


def _explain(wanted: Mapping[str, str], places: Iterable[Hardware]) -> str:
    others = dict.fromkeys(hardware.describe(wanted) for hardware in places if not hardware.fits(wanted))
    return f"no worker ran on {describe_wanted(wanted)}; these did: {'; '.join(others)}"
