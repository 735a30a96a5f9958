"""A worker: takes one ready node after another that no other worker owns, until none is left."""

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
# A node that was running at two deaths may have run out of memory next to others: it gets one try with no other node.
DEATHS_UNTIL_ALONE, DEATHS_UNTIL_FAILED = 2, 3
KILLED_MESSAGE = f"its worker was killed {DEATHS_UNTIL_FAILED} times: out of memory?"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

LeaseInfos = dict[str, LeaseInfo | None]  # of all ready nodes, by signature


def run_worker(run_file: Path, worker_number: int) -> list[str]:
    """Work for the run in `run_file` as worker number `worker_number`; return a line for each failure met.

    Exceptions become such lines as well: the controller relies on the store, not on what its launcher hands on. Unless
    it runs in the controller's own process, a worker dies with its controller.
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
        Worker(run, worker_number, failures).run_ready_nodes()
    except (WorkerStopped, KeyboardInterrupt):
        failures.append("stopped")
    except Exception as error:
        if not isinstance(error, UserError | FailureNotRecorded):
            traceback.print_exc()
        failures.append(format_error_line(error))
        run.record_worker_errors(worker_number, failures)
    return failures


class Worker:
    """A worker of one run; it adds a line to `failures` for each node that fails in its hands."""

    def __init__(self, run: Run, worker_number: int, failures: list[str]) -> None:
        self.run = run
        self.failures = failures
        self.store = Store(run.store)
        self.plan = Plan.read(run.plan)
        self.monitor = PlanMonitor(self.plan, run.workers, worker_number)
        self.leases = LeaseManager(run.id)

    def run_ready_nodes(self) -> None:
        """Run one ready node after another; sleep while others own all that are ready.

        Raises:
            WorkerStopped: the run was stopped or interrupted in the middle of a stage.
            FailureNotRecorded: the failure of a stage could not be written down.
            OSError: the store's disk is full or read-only.
        """
        self._set_thread_variables()
        sleep_seconds = MIN_SLEEP_SECONDS
        done: frozenset[str] = frozenset()
        while not self.run.is_stopped:
            plan_state = self.monitor.read_state(self.store, self.run.id, done)
            if plan_state.is_finished:
                return
            if self._run_one_node(plan_state):
                sleep_seconds = MIN_SLEEP_SECONDS
            else:
                time.sleep(random.uniform(0.5, 1.0) * sleep_seconds)
                has_progress = plan_state.done != done
                sleep_seconds = MIN_SLEEP_SECONDS if has_progress else min(2 * sleep_seconds, MAX_SLEEP_SECONDS)
            done = plan_state.done

    def _run_one_node(self, plan_state: PlanState) -> bool:
        """Run the first ready node that this worker can take; return whether there was one."""
        lease_infos = self._read_lease_infos(plan_state)
        for node in plan_state.ready:
            if _is_running(lease_infos[node.signature]) or not self._may_run(node, lease_infos):
                continue
            try:
                lease = self._take_lease(node, lease_infos, plan_state)
            except OSError as error:
                self._record_unusable_folder(node, error)
                return True
            if lease is not None:
                self._run_leased(StageRun(node, lease, self.store, self.run, self._count_threads(node)))
                return True
        return False

    def _record_unusable_folder(self, node: Node, error: OSError) -> None:
        """Record a node's failure in the run's folder, since the node's own can't be written to.

        Raises:
            OSError: `error`, where it concerns the whole disk and so every node.
        """
        if error.errno in disk.DISK_WIDE_ERRNOS:
            raise error
        is_blocked_by_file = isinstance(error, NotADirectoryError)
        line = f"can't work in {disk.format_error(error)}"
        if is_blocked_by_file:
            line += "; move it away"
        self.run.record_failure(node.signature, {"error": line, "mistake": is_blocked_by_file, "kind": None})
        self.failures.append(f"{node.stage} {node.name}: {line}")

    def _take_lease(self, node: Node, lease_infos: LeaseInfos, plan_state: PlanState) -> Lease | None:
        folder = self.store.folder_of(node)
        disk.make_folder(folder)
        lease = self.leases.take(folder)
        if lease is None:
            return None
        # Another worker may have taken another node since `lease_infos` were read. If one of the two must run alone,
        # both may notice and release; they try again after sleeps of random length, so that one comes first.
        has_exclusive_node = any(self._is_exclusive(signature, info) for signature, info in lease_infos.items())
        if has_exclusive_node and not self._may_run(node, self._read_lease_infos(plan_state)):
            lease.release()
            return None
        return lease

    def _read_lease_infos(self, plan_state: PlanState) -> LeaseInfos:
        return {node.signature: self.leases.read(self.store.folder_of(node)) for node in plan_state.ready}

    def _may_run(self, node: Node, lease_infos: LeaseInfos) -> bool:
        """Whether a node may start now: an exclusive node waits for all that run, and all others wait for it."""
        running = [
            signature for signature, info in lease_infos.items() if signature != node.signature and _is_running(info)
        ]
        if not running:
            return True
        return not any(
            self._is_exclusive(signature, lease_infos[signature]) for signature in [node.signature, *running]
        )

    def _is_exclusive(self, signature: str, lease_info: LeaseInfo | None) -> bool:
        """Whether a node must run alone: it measures time, or its workers were killed too often."""
        needs_quiet = self.plan.nodes[signature].runtime.get("alone", False)
        return needs_quiet or self.leases.count_deaths(lease_info) >= DEATHS_UNTIL_ALONE

    def _run_leased(self, stage_run: StageRun) -> None:
        """Run a leased node, unless another worker finished or failed it before the lease was taken."""
        node, lease = stage_run.node, stage_run.lease
        if self.store.select_finished([node.signature]):
            stage_run.finish()
            return
        if self.store.find_failures([node.signature], self.run.id):
            lease.release()
            return
        if lease.deaths >= DEATHS_UNTIL_FAILED:
            failure = stage_run.record_failure(KILLED_MESSAGE)
        else:
            failure = stage_run.run_and_publish()
        if failure is not None:
            self.failures.append(f"{node.stage} {node.name}: {failure}")

    def _count_threads(self, node: Node) -> int:
        return int(node.runtime.get("threads") or max(1, count_cores() // self.run.workers))

    def _set_thread_variables(self) -> None:
        # OpenMP, MKL and OpenBLAS read these when they are loaded: they are set before a stage first imports torch, to
        # the largest number of threads that any node may use.
        thread_counts = [self._count_threads(node) for node in self.plan.nodes.values()]
        for variable in THREAD_VARIABLES:
            os.environ[variable] = str(max(thread_counts, default=1))


def _is_running(lease_info: LeaseInfo | None) -> bool:
    return lease_info is not None and lease_info.state == "alive"


@lru_cache  # a launcher may use one process for several workers in turn: one thread watches for all of them
def _exit_with_controller(controller: Process) -> None:
    """End this process as soon as its controller has ended; its leases then count as those of a dead owner."""
    if is_on_this_host(controller):
        threading.Thread(target=_watch_controller, args=(controller,), daemon=True, name="watch the controller").start()


def _ignore_interrupts() -> None:
    # Ctrl-C reaches all processes of a terminal, and a stage that heard it before the controller has stopped the run
    # could count as failed. Python sets signal handlers in the main thread only.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _watch_controller(controller: Process) -> None:
    while is_process_alive(controller):
        time.sleep(CONTROLLER_POLL_SECONDS)
    os._exit(1)  # sys.exit() would end this thread only
