"""Which leases the controller of a run on Slurm takes for dead."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from convarium.host.process import current_process
from convarium.store.store import Store
from convarium.workers.job_watch import JobWatch
from convarium.workers.lease import Lease, LeaseManager
from convarium.workers.run_file import Run
from convarium.workers.slurm_job import SlurmJob
from convarium.workers.slurm_queue import QueuedJob, QueueView
from store.fake_run import make_fake_node, make_fake_plan

NODE = make_fake_node("node")


@dataclass
class FakeQueue:
    """A queue that holds what a test says."""

    view: QueueView = field(default_factory=lambda: QueueView(time.monotonic(), {}))

    def look(self) -> QueueView:
        return self.view

    def show(self, **jobs: tuple[str, int]) -> None:
        """Let the queue be asked now: state and restarts of each job."""
        self.view = QueueView(time.monotonic(), {name: QueuedJob(*each) for name, each in jobs.items()})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    store = Store(tmp_path / "store")
    store.prepare()
    return Run.begin(make_fake_plan(NODE), store, 1)


@pytest.fixture
def lease(run: Run) -> Lease:
    """The lease of the node, in the hands of job 7 in its second life."""
    folder = Store(run.store).folder_of(NODE)
    folder.mkdir(parents=True)
    lease = LeaseManager(run.id).take(folder, SlurmJob("7", 1).to_details())
    assert lease is not None
    return lease


@pytest.mark.parametrize(
    ("job", "state", "deaths"),
    [
        (("RUNNING", 1), "alive", 0),
        (("COMPLETING", 2), "alive", 0),
        (("SUSPENDED", 1), "alive", 0),
        (("A_STATE_OF_NEXT_YEAR", 1), "alive", 0),
        (("PENDING", 2), "released", 0),
        (("RUNNING", 2), "released", 0),
        (("NODE_FAIL", 1), "released", 1),
        (("OUT_OF_MEMORY", 1), "released", 1),
        (("CANCELLED", 1), "released", 1),
        (None, "released", 1),
    ],
)
def test_a_lease_is_dead_when_its_job_has_ended_or_is_begun_again_which_counts_no_death(
    run: Run, lease: Lease, job: tuple[str, int] | None, state: str, deaths: int
) -> None:
    watch, queue = _begin_watch(run)
    queue.show(**({} if job is None else {"7": job}))
    watch.release_dead_leases([NODE])
    lease_info = LeaseManager(run.id).read(lease.folder)
    assert lease_info is not None
    assert (lease_info.state, lease_info.deaths) == (state, deaths)


@pytest.mark.parametrize(
    ("state", "cause", "words"),
    [
        ("OUT_OF_MEMORY", "out of memory", "raise hydra.launcher.mem_gb"),
        ("TIMEOUT", "time limit", "raise hydra.launcher.timeout_min"),
        ("NODE_FAIL", "lost node", "Slurm ended its job as NODE_FAIL"),
        ("CANCELLED", "killed", "Slurm ended its job as CANCELLED"),
        (None, "killed", "not in Slurm's queue any more"),
    ],
)
def test_the_next_owner_knows_how_slurm_ended_the_job_of_the_last(
    run: Run, lease: Lease, state: str | None, cause: str, words: str
) -> None:
    watch, backend = _begin_watch(run)
    backend.show(**({} if state is None else {"7": (state, 1)}))
    watch.release_dead_leases([NODE])
    next_lease = LeaseManager(run.id).take(lease.folder)
    assert next_lease is not None
    assert (next_lease.last_death.cause, next_lease.last_death.host) == (cause, current_process().host)
    assert words in next_lease.last_death.line


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks", "out of memory"),
        ("slurmstepd-node-a: error: StepId=7.0 exceeded memory limit (36 > 32), being killed", "out of memory"),
        ("srun: error: node-a: task 0: Out Of Memory", "out of memory"),
        ("srun: error: node-a: task 0: Killed", "killed"),
        ("convarium: it said that it is out of memory", "killed"),
    ],
)
def test_a_job_whose_step_ran_out_of_memory_ends_as_failed_and_its_log_says_why(
    run: Run, lease: Lease, log: str, cause: str
) -> None:
    (run.folder / "job.7.log").write_text(f"first line\n{log}\nsrun: done\n")
    watch, backend = _begin_watch(run)
    backend.show(**{"7": ("FAILED", 1)})
    watch.release_dead_leases([NODE])
    next_lease = LeaseManager(run.id).take(lease.folder)
    assert next_lease is not None
    assert next_lease.last_death.cause == cause


def test_a_view_that_is_older_than_the_lease_does_not_judge_it(run: Run, lease: Lease) -> None:
    watch, queue = _begin_watch(run)
    watch.release_dead_leases([NODE])
    assert _read_state(lease) == "alive"
    queue.show()
    watch.release_dead_leases([NODE])
    assert _read_state(lease) == "released"


@pytest.mark.parametrize("job", [("FAILED", 0), ("COMPLETING", 0), ("PENDING", 1)])
def test_a_job_that_began_and_left_between_two_views_is_noticed(run: Run, lease: Lease, job: tuple[str, int]) -> None:
    watch, queue = _begin_watch(run)
    queue.show(**{"7": ("RUNNING", 1), "8": ("PENDING", 0)})
    watch.release_dead_leases([NODE])
    lease.release()
    of_short_job = LeaseManager(run.id).take(lease.folder, SlurmJob("8", 0).to_details())
    assert of_short_job is not None
    queue.show(**{"7": ("RUNNING", 1), "8": job})
    watch.release_dead_leases([NODE])
    assert watch.has_suspects
    queue.show(**{"7": ("RUNNING", 1), "8": ("FAILED", 0)})
    watch.release_dead_leases([NODE])
    assert _read_state(of_short_job) == "released"


def test_a_later_owner_keeps_what_it_has_taken_meanwhile(run: Run, lease: Lease) -> None:
    watch, queue = _begin_watch(run)
    lease.release()
    second = LeaseManager(run.id).take(lease.folder, SlurmJob("8", 0).to_details())
    assert second is not None
    queue.show(**{"8": ("RUNNING", 0)})
    watch.release_dead_leases([NODE])
    assert _read_state(second) == "alive"
    second.check()


def _begin_watch(run: Run) -> tuple[JobWatch, FakeQueue]:
    """Return a watch that has read the lease, and the queue that it asks."""
    queue = FakeQueue()
    watch = JobWatch(run, Store(run.store), queue.look)
    watch.release_dead_leases([NODE])
    return watch, queue


def _read_state(lease: Lease) -> str:
    lease_info = LeaseManager("").read(lease.folder)
    assert lease_info is not None
    return lease_info.state
