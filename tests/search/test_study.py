"""A search asks, has trials made, and tells; however it is cut off, it goes on as if it had not been."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from math import log10
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.search.search_folder import open_search_folder
from convarium.store.store import Store
from convarium.workers.stored_runs import find_living_runs
from search.fake_search import FakeEvaluator, build_fake_search, read_trials, run_fake_search
from store.fake_run import SUBPROCESS_ENVIRONMENT
from waiting import wait_until


@pytest.fixture(autouse=True)
def children_import_fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])


def test_a_search_finds_what_is_best_and_says_it_again_without_a_worker(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    search = build_fake_search("search.trials=16", evaluator=FakeEvaluator(journal))
    summary = run_fake_search(search, tmp_path / "s")
    assert (summary["trials"], summary["running"], summary["failed"]) == (16, 0, 0)
    (best,) = summary["best"]
    values = [trial["values"][0] for trial in read_trials(tmp_path / "s")]
    assert best["values"]["validation_accuracy"] == max(values) == values[best["trial"]]
    begun = journal.read_text()
    assert run_fake_search(search, tmp_path / "s") == summary
    assert journal.read_text() == begun
    assert not list((tmp_path / "s" / "runs").iterdir())


def test_more_trials_continue_a_search(tmp_path: Path) -> None:
    run_fake_search(build_fake_search("search.trials=5"), tmp_path / "s")
    run_fake_search(build_fake_search("search.trials=9"), tmp_path / "s")
    run_fake_search(build_fake_search("search.trials=9"), tmp_path / "whole")
    assert len(read_trials(tmp_path / "s")) == 9
    assert read_trials(tmp_path / "s")[:5] == read_trials(tmp_path / "whole")[:5]


def test_another_seed_or_strategy_is_another_search(tmp_path: Path) -> None:
    for text in ("search.seed=0", "search.seed=1", "search/strategy=random"):
        run_fake_search(build_fake_search("search.trials=2", text), tmp_path / "s")
    assert len(list((tmp_path / "s" / "searches").iterdir())) == 3


def test_a_trial_of_several_seeds_is_told_their_mean(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    search = build_fake_search("search.trials=2", "seed=0,1,2", evaluator=FakeEvaluator(journal))
    summary = run_fake_search(search, tmp_path / "s")
    assert len(journal.read_text().splitlines()) == 2 * 3 * 2
    assert len(summary["best"][0]["signatures"]) == 3
    for trial in read_trials(tmp_path / "s"):
        lr, epochs = trial["params"]["recipe.lr"], trial["params"]["recipe.epochs"]
        assert trial["values"][0] == pytest.approx(1 - 0.3 * abs(log10(lr / 0.03)) - 0.01 * (9 - epochs) - 0.001)


def test_what_fails_is_an_answer_and_never_tried_again_as_long_as_the_search_goes_on(tmp_path: Path) -> None:
    search = build_fake_search("search.trials=12", "search/strategy=random", evaluator=FakeEvaluator(failing_epochs=4))
    summary = run_fake_search(search, tmp_path / "s")
    states = [(trial["params"]["recipe.epochs"] == 4, trial["outcome"]) for trial in read_trials(tmp_path / "s")]
    assert set(states) == {(True, "failed"), (False, "complete")}
    assert summary["failed"] == states.count((True, "failed"))


def test_a_point_that_can_t_be_composed_is_refused_and_counted_apart(tmp_path: Path) -> None:
    search = build_fake_search("search.trials=6", "search/strategy=random", "recipe.schedule=cosine,one_cycle")
    summary = run_fake_search(search, tmp_path / "s")
    assert summary["trials"] == 6
    assert summary["refused"] > 0
    assert {trial["outcome"] for trial in read_trials(tmp_path / "s")} == {"complete", "refused"}


def test_if_every_point_is_refused_the_search_ends_with_the_reason(tmp_path: Path) -> None:
    search = build_fake_search("search/strategy=random", "recipe.schedule=one_cycle")
    with pytest.raises(UserError, match=r"the last 20 trials were refused: .*one_cycle"):
        run_fake_search(search, tmp_path / "s")


def test_a_limit_on_a_known_cost_is_decided_before_training(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    search = build_fake_search(
        "search.trials=4",
        "search/strategy=random",
        "architecture.kwargs.hidden=[300],[20]",
        "search.constraints.macs=20000",
        evaluator=FakeEvaluator(journal),
    )
    summary = run_fake_search(search, tmp_path / "s")
    assert summary["trials"] == 4
    assert summary["gated"] > 0
    assert len(journal.read_text().splitlines()) == 2 * 4


def test_what_another_living_process_searches_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.prepare()
    process = _start(tmp_path / "s", tmp_path / "journal", 40)
    try:
        wait_until(lambda: any(find_living_runs(store)))
        (folder,) = (tmp_path / "s" / "searches").iterdir()
        with pytest.raises(UserError, match=rf"process {process.pid} runs this search already"):
            open_search_folder(store, folder.name)
    finally:
        process.kill()
        process.wait()


def test_with_one_worker_a_search_that_was_killed_equals_an_undisturbed_one(tmp_path: Path) -> None:
    _run_with_kills(tmp_path, random.Random(0), trials=12, workers=1, kills=5)
    assert _start(tmp_path / "whole", tmp_path / "whole_journal", 12).wait(timeout=120) == 0
    assert read_trials(tmp_path / "s") == read_trials(tmp_path / "whole")


def test_with_three_workers_no_trial_is_lost(tmp_path: Path) -> None:
    _run_with_kills(tmp_path, random.Random(7), trials=18, workers=3, kills=5)
    trials = read_trials(tmp_path / "s")
    assert [trial["number"] for trial in trials] == list(range(18))
    assert {trial["outcome"] for trial in trials} == {"complete"}


def _run_with_kills(folder: Path, rng: random.Random, trials: int, workers: int, kills: int) -> None:
    """Run a search of fake stages to its end, killing its controller or a worker now and then."""
    root, journal = folder / "s", folder / "journal"
    process = _start(root, journal, trials, workers)
    victims: Counter[str] = Counter()
    for _ in range(kills):
        time.sleep(rng.uniform(0.3, 2.0))
        if process.poll() is not None:
            break
        pids = [worker.pid for _, run in find_living_runs(Store(root)) if run for worker in run.find_living_workers()]
        victim = rng.choice([process.pid, *pids])
        os.kill(victim, signal.SIGKILL)
        victims["controller" if victim == process.pid else "worker"] += 1
        if victim == process.pid:
            process.wait()
            process = _start(root, journal, trials, workers)
    assert process.wait(timeout=120) == 0
    assert not list((root / "runs").iterdir())


def _start(root: Path, journal: Path, trials: int, workers: int = 1) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "search.fake_search", str(root), str(journal), str(trials), str(workers)]
    return subprocess.Popen(command, env=SUBPROCESS_ENVIRONMENT, stdout=subprocess.DEVNULL)
