"""Which ends of workers their controller takes for a sign that none can do the work."""

from collections.abc import Sequence
from pathlib import Path

from convarium.store.store import Store
from convarium.workers.backend import Job
from convarium.workers.ready_nodes import PlanMonitor
from convarium.workers.run_file import Run
from convarium.workers.supervisor import MAX_FRUITLESS_ROUNDS, WorkerSupervisor
from store.fake_run import make_fake_node, make_fake_plan

PLAN = make_fake_plan(make_fake_node("node"))


class FakeQueue:
    """A queue that also shows what an earlier controller has submitted."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = list(jobs)

    def submit(self, count: int) -> None:
        self.jobs += [Job(f"own-{len(self.jobs) + index}", "running") for index in range(count)]

    def states(self) -> Sequence[Job]:
        return self.jobs

    def cancel(self) -> None:
        pass

    def end_all(self) -> None:
        self.jobs = [Job(job.id, "ended") for job in self.jobs]


def test_jobs_that_had_ended_before_a_run_was_taken_over_prove_nothing(tmp_path: Path) -> None:
    queue = FakeQueue(*(Job(f"earlier-{index}", "ended") for index in range(3 * MAX_FRUITLESS_ROUNDS)))
    run = _begin_run(tmp_path)
    assert _look_and_submit(run, WorkerSupervisor(run, Store(run.store), queue))
    assert [job.id for job in queue.jobs if job.state == "running"] == ["own-9"]


def test_jobs_that_end_without_having_settled_a_node_end_the_run(tmp_path: Path) -> None:
    queue = FakeQueue(Job("earlier", "running"))
    run = _begin_run(tmp_path)
    supervisor = WorkerSupervisor(run, Store(run.store), queue)
    for _ in range(MAX_FRUITLESS_ROUNDS):
        assert _look_and_submit(run, supervisor)
        queue.end_all()
    assert not _look_and_submit(run, supervisor)


def _begin_run(folder: Path) -> Run:
    store = Store(folder / "store")
    store.prepare()
    return Run.begin(PLAN, store, 1)


def _look_and_submit(run: Run, supervisor: WorkerSupervisor) -> bool:
    """Look at the jobs as a controller does; return whether the run goes on."""
    plan_state = PlanMonitor(PLAN).read_state(Store(run.store), run.id)
    supervisor.note_settled_nodes(plan_state)
    supervisor.note_ended_jobs(plan_state)
    return supervisor.submit_missing(1)
