"""A worker: takes what is ready and nobody owns, until nothing is left."""

import os
import random
import signal
import threading
import time
import traceback
from functools import lru_cache
from pathlib import Path

from convarium.child_process import complete_import_path
from convarium.errors import UserError
from convarium.host.process import Process, current_process, is_on_this_host, is_process_alive
from convarium.host.provenance import count_cores
from convarium.planning.plan import Node, Plan
from convarium.robust_streams import install_robust_streams
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.lease import Lease, LeaseInfo, LeaseManager
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_file import Run
from convarium.workers.run_stage import FailureNotRecorded, StageRun, WorkerStopped, format_error_line

MIN_SLEEP_SECONDS, MAX_SLEEP_SECONDS = 0.1, 1.0
CONTROLLER_POLL_SECONDS = 0.5
DEATHS_UNTIL_ALONE, DEATHS_UNTIL_FAILED = 2, 3
KILLED_MESSAGE = f"its worker was killed {DEATHS_UNTIL_FAILED} times: out of memory?"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

LeaseInfos = dict[str, LeaseInfo | None]


def run_worker(run_file: Path, worker_number: int) -> list[str]:
    """Work for the run in `run_file` as worker number `worker_number`; return the lines of what failed here, never
    raise.

    The results are in the store. A worker that has a process of its own dies with its controller.
    """
    failures: list[str] = []
    try:
        run = Run.read(run_file)
    except UserError as error:
        return [str(error)]
    try:
        if run.controller != current_process():
            install_robust_streams()
            complete_import_path()
            _exit_with_controller(run.controller)
            _ignore_interrupts()
            run.register_worker(worker_number)
        Worker(run, failures).run_ready_nodes()
    except (WorkerStopped, KeyboardInterrupt):
        failures.append("stopped")
    except Exception as error:
        if not isinstance(error, UserError | FailureNotRecorded):
            traceback.print_exc()
        failures.append(format_error_line(error))
        run.record_worker_errors(worker_number, failures)
    return failures


class Worker:
    """Works for one run; adds the lines of what fails to `failures`."""

    def __init__(self, run: Run, failures: list[str]) -> None:
        self.run, self.failures = run, failures
        self.store, self.plan = Store(run.store), Plan.read(run.plan)
        self.monitor, self.leases = PlanMonitor(self.plan), LeaseManager(run.id)

    def run_ready_nodes(self) -> None:
        """Take one ready node after another; sleep while others own all that is ready."""
        self._set_thread_variables()
        sleep, done = MIN_SLEEP_SECONDS, frozenset[str]()
        while not self.run.is_stopped:
            survey = self.monitor.read_state(self.store, self.run.id, done)
            if survey.is_finished:
                return
            if self._run_one_node(survey):
                sleep = MIN_SLEEP_SECONDS
            else:
                time.sleep(random.uniform(0.5, 1.0) * sleep)
                sleep = MIN_SLEEP_SECONDS if survey.done != done else min(2 * sleep, MAX_SLEEP_SECONDS)
            done = survey.done

    def _run_one_node(self, plan_state: PlanState) -> bool:
        """Make the first ready node that can be had; whether there was one."""
        claims = self._read_lease_infos(plan_state)
        for node in plan_state.ready:
            claim = claims[node.signature]
            if (claim is None or claim.state != "alive") and self._may_run(node, claims):
                try:
                    lease = self._take_lease(node, claims, plan_state)
                except OSError as error:
                    self._record_unusable_folder(node, error)
                    return True
                if lease is not None:
                    self._run_leased(StageRun(node, lease, self.store, self.run, self._count_threads(node)))
                    return True
        return False

    def _record_unusable_folder(self, node: Node, error: OSError) -> None:
        """Take a folder that can't be worked in for its node's failure: it has no place of its own to say so."""
        if error.errno in disk.DISK_WIDE_ERRNOS:
            raise error
        in_the_way = isinstance(error, NotADirectoryError)
        line = f"can't work in {disk.format_error(error)}{'; move it away' if in_the_way else ''}"
        self.run.record_failure(node.signature, {"error": line, "mistake": in_the_way, "kind": None})
        self.failures.append(f"{node.stage} {node.name}: {line}")

    def _take_lease(self, node: Node, lease_infos: LeaseInfos, plan_state: PlanState) -> Lease | None:
        folder = self.store.folder_of(node)
        disk.make_folder(folder)
        lease = self.leases.take(folder)
        some_alone = any(self._is_exclusive(signature, claim) for signature, claim in lease_infos.items())
        if lease is not None and some_alone and not self._may_run(node, self._read_lease_infos(plan_state)):
            lease.release()  # another took one in the same moment
            return None
        return lease

    def _read_lease_infos(self, plan_state: PlanState) -> LeaseInfos:
        return {node.signature: self.leases.read(self.store.folder_of(node)) for node in plan_state.ready}

    def _may_run(self, node: Node, lease_infos: LeaseInfos) -> bool:
        """What is alone has the run's workers to itself: it waits for others, and others wait for it."""
        others = [
            key for key, claim in lease_infos.items() if key != node.signature and claim and claim.state == "alive"
        ]
        return not others or not any(self._is_exclusive(key, lease_infos[key]) for key in [node.signature, *others])

    def _is_exclusive(self, signature: str, lease_info: LeaseInfo | None) -> bool:
        """Whether a node takes the clock's time, or was running twice when its worker was killed."""
        wants = self.plan.nodes[signature].runtime.get("alone", False)
        return wants or self.leases.count_deaths(lease_info) >= DEATHS_UNTIL_ALONE

    def _run_leased(self, stage_run: StageRun) -> None:
        """Make what is owned now, unless it was made or failed between looking and taking."""
        lease, signature = stage_run.lease, stage_run.node.signature
        if self.store.select_finished([signature]):
            return stage_run.finish()
        if self.store.find_failures([signature], self.run.id):
            return lease.release()
        failure = (
            stage_run.record_failure(KILLED_MESSAGE)
            if lease.deaths >= DEATHS_UNTIL_FAILED
            else stage_run.run_and_publish()
        )
        if failure is not None:
            self.failures.append(f"{stage_run.node.stage} {stage_run.node.name}: {failure}")
        return None

    def _count_threads(self, node: Node) -> int:
        return int(node.runtime.get("threads") or max(1, count_cores() // self.run.workers))

    def _set_thread_variables(self) -> None:
        threads = {self._count_threads(node) for node in self.plan.nodes.values()}
        for variable in THREAD_VARIABLES:
            os.environ[variable] = str(max(threads, default=1))


@lru_cache
def _exit_with_controller(controller: Process) -> None:
    """End this process at once when its controller has: the next run finds what it held by a dead owner's lease."""
    if is_on_this_host(controller):
        threading.Thread(target=_watch_controller, args=(controller,), daemon=True, name="watch the controller").start()


def _ignore_interrupts() -> None:
    """Ctrl-C reaches all processes of a terminal; a stage that hears it first would fall before it is told to stop."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _watch_controller(controller: Process) -> None:
    while is_process_alive(controller):
        time.sleep(CONTROLLER_POLL_SECONDS)
    os._exit(1)
