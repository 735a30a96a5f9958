"""A worker: takes what is ready and nobody owns, until nothing is left."""

import os
import random
import signal
import threading
import time
import traceback
from functools import lru_cache
from pathlib import Path

from convarium.children import complete_import_path
from convarium.errors import UserError
from convarium.store import disk
from convarium.store.execute import Execution, Stopped, Unrecorded, one_line
from convarium.store.lease import Claim, Lease, Leases
from convarium.store.plan import Node, Plan
from convarium.store.process import Process, current, is_alive, is_here
from convarium.store.provenance import cores
from convarium.store.run_file import Run
from convarium.store.schedule import Schedule, Survey
from convarium.store.store import Store
from convarium.streams import make_streams_last

SHORTEST_SLEEP, LONGEST_SLEEP = 0.1, 1.0
WATCH_SECONDS = 0.5
DEATHS_UNTIL_ALONE, DEATHS_UNTIL_FAILED = 2, 3
KILLED = f"its worker was killed {DEATHS_UNTIL_FAILED} times: out of memory?"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Claims = dict[str, Claim | None]


def work(file: Path, worker: int) -> list[str]:
    """Work for the run in `file` as worker number `worker`; return the lines of what failed here, never raise.

    The results are in the store. A worker that has a process of its own dies with its controller.
    """
    failures: list[str] = []
    try:
        run = Run.read(file)
    except UserError as error:
        return [str(error)]
    try:
        if run.controller != current():
            make_streams_last()
            complete_import_path()
            _die_with(run.controller)
            _leave_interrupts_to_the_controller()
            run.enlist(worker)
        Worker(run, failures).pull()
    except (Stopped, KeyboardInterrupt):
        failures.append("stopped")
    except Exception as error:
        if not isinstance(error, UserError | Unrecorded):
            traceback.print_exc()
        failures.append(one_line(error))
        run.complain(worker, failures)
    return failures


class Worker:
    """Works for one run; adds the lines of what fails to `failures`."""

    def __init__(self, run: Run, failures: list[str]) -> None:
        self.run, self.failures = run, failures
        self.store, self.plan = Store(run.store), Plan.read(run.plan)
        self.schedule, self.leases = Schedule(self.plan), Leases(run.id)

    def pull(self) -> None:
        """Take one ready node after another; sleep while others own all that is ready."""
        self._limit_threads()
        sleep, done = SHORTEST_SLEEP, frozenset[str]()
        while not self.run.is_stopped:
            survey = self.schedule.survey(self.store, self.run.id, done)
            if survey.is_over:
                return
            if self._take_one(survey):
                sleep = SHORTEST_SLEEP
            else:
                time.sleep(random.uniform(0.5, 1.0) * sleep)
                sleep = SHORTEST_SLEEP if survey.done != done else min(2 * sleep, LONGEST_SLEEP)
            done = survey.done

    def _take_one(self, survey: Survey) -> bool:
        """Make the first ready node that can be had; whether there was one."""
        claims = self._claims(survey)
        for node in survey.ready:
            claim = claims[node.signature]
            if (claim is None or claim.state != "alive") and self._may_run(node, claims):
                try:
                    lease = self._lease(node, claims, survey)
                except OSError as error:
                    self._refused(node, error)
                    return True
                if lease is not None:
                    self._run(Execution(node, lease, self.store, self.run, self._threads(node)))
                    return True
        return False

    def _refused(self, node: Node, error: OSError) -> None:
        """Take a folder that can't be worked in for its node's failure: it has no place of its own to say so."""
        if error.errno in disk.OF_ALL_FOLDERS:
            raise error
        in_the_way = isinstance(error, NotADirectoryError)
        line = f"can't work in {disk.told(error)}{'; move it away' if in_the_way else ''}"
        self.run.record_failure(node.signature, {"error": line, "mistake": in_the_way, "kind": None})
        self.failures.append(f"{node.stage} {node.name}: {line}")

    def _lease(self, node: Node, claims: Claims, survey: Survey) -> Lease | None:
        folder = self.store.folder(node)
        disk.make_folder(folder)
        lease = self.leases.take(folder)
        some_alone = any(self._is_alone(signature, claim) for signature, claim in claims.items())
        if lease is not None and some_alone and not self._may_run(node, self._claims(survey)):
            lease.release()  # another took one in the same moment
            return None
        return lease

    def _claims(self, survey: Survey) -> Claims:
        return {node.signature: self.leases.look(self.store.folder(node)) for node in survey.ready}

    def _may_run(self, node: Node, claims: Claims) -> bool:
        """What is alone has the run's workers to itself: it waits for others, and others wait for it."""
        others = [key for key, claim in claims.items() if key != node.signature and claim and claim.state == "alive"]
        return not others or not any(self._is_alone(key, claims[key]) for key in [node.signature, *others])

    def _is_alone(self, signature: str, claim: Claim | None) -> bool:
        """Whether a node takes the clock's time, or was running twice when its worker was killed."""
        wants = self.plan.nodes[signature].runtime.get("alone", False)
        return wants or self.leases.deaths(claim) >= DEATHS_UNTIL_ALONE

    def _run(self, execution: Execution) -> None:
        """Make what is owned now, unless it was made or failed between looking and taking."""
        lease, signature = execution.lease, execution.node.signature
        if self.store.finished([signature]):
            return execution.clear()
        if self.store.failures([signature], self.run.id):
            return lease.release()
        failure = execution.fail(KILLED) if lease.deaths >= DEATHS_UNTIL_FAILED else execution.make()
        if failure is not None:
            self.failures.append(f"{execution.node.stage} {execution.node.name}: {failure}")
        return None

    def _threads(self, node: Node) -> int:
        return int(node.runtime.get("threads") or max(1, cores() // self.run.workers))

    def _limit_threads(self) -> None:
        threads = {self._threads(node) for node in self.plan.nodes.values()}
        for variable in THREAD_VARIABLES:
            os.environ[variable] = str(max(threads, default=1))


@lru_cache
def _die_with(controller: Process) -> None:
    """End this process at once when its controller has: the next run finds what it held by a dead owner's lease."""
    if is_here(controller):
        threading.Thread(target=_watch, args=(controller,), daemon=True, name="watch the controller").start()


def _leave_interrupts_to_the_controller() -> None:
    """Ctrl-C reaches all processes of a terminal; a stage that hears it first would fall before it is told to stop."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _watch(controller: Process) -> None:
    while is_alive(controller):
        time.sleep(WATCH_SECONDS)
    os._exit(1)
