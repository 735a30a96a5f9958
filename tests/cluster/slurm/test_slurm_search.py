"""`convarium search` whose trials are made by jobs of a real Slurm; its stages are fake ones."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.cluster_run import count_begun
from cluster.slurm.slurm_cluster import SlurmCluster
from search.fake_search import read_trials
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("slurm")
TRIALS = 8
SPACE = ("architecture=mlp", "dataset=digits", "recipe.lr=interval(0.01,0.1)", "recipe.epochs=range(1,9)")
LAUNCHER = ("hydra/launcher=slurm", "hydra.launcher.squeue_seconds=0.5", "runtime.workers=2")
BeginSearch = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def begin_search(slurm: SlurmCluster, store: Path, journal: Path, tmp_path: Path) -> Iterator[BeginSearch]:
    """Begin a search of a few trials."""
    evaluator = tmp_path / "conf" / "search" / "evaluator" / "fake.yaml"
    evaluator.parent.mkdir(parents=True)
    evaluator.write_text(f"name: search.fake_search:FakeEvaluator\njournal: {journal}\nseconds: 0.3\n")
    line = (*SPACE, *LAUNCHER, "search/evaluator=fake", f"search.trials={TRIALS}", f"runtime.store={store}")
    processes: list[subprocess.Popen[str]] = []

    def begin() -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "convarium", "search", "--json", *line]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_a_search_ends_with_all_its_trials_and_leaves_no_job_in_the_queue(
    begin_search: BeginSearch, slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    summary = json.loads(begin_search().communicate(timeout=90)[0])
    assert (summary["trials"], summary["failed"], summary["running"]) == (TRIALS, 0, 0)
    wait_until(lambda: not slurm.list_jobs())
    assert set(count_begun(journal).values()) == {1}
    assert not list(store.glob("runs/*/run.json"))


def test_a_search_whose_controller_is_killed_finds_its_run_and_jobs_again(
    begin_search: BeginSearch, slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    first = begin_search()
    wait_until(lambda: len(count_begun(journal)) >= 3)
    first.kill()
    first.wait()
    (run_file,) = store.glob("runs/*/run.json")
    jobs = {job for job, _, _ in slurm.list_jobs()}
    assert len(jobs) == 2
    second = begin_search()
    wait_until(lambda: len(count_begun(journal)) > TRIALS)
    assert {job for job, _, _ in slurm.list_jobs()} == jobs, "it submitted jobs of its own"
    assert run_file.exists(), "it began a run of its own"
    summary = json.loads(second.communicate(timeout=90)[0])
    assert (summary["trials"], summary["failed"], summary["running"]) == (TRIALS, 0, 0)
    assert [trial["number"] for trial in read_trials(store)] == list(range(TRIALS))
    assert set(count_begun(journal).values()) == {1}
    wait_until(lambda: not slurm.list_jobs())
