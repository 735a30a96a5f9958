"""A search whose controller is killed before any of its writes goes on as an uncut one would have."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from convarium.search.asked_trials import AskedTrial, append_asked_trial, read_asked_trials
from convarium.search.constraints import set_constraints
from convarium.search.journal import open_journal, open_study
from convarium.search.pruning import build_pruner, find_pruning, should_prune
from convarium.search.reports import read_reports, report_step
from convarium.search.strategy import Strategy, find_strategy, let_sampler_end_asking
from search.strategies.searching import BRANCHES, NUMBERS, Names, ask, ask_point, choose_branch

NAMES: Names = {**BRANCHES, **NUMBERS}
TRIALS, STEPS = 7, 3
MEDIAN = {"name": "median", "startup_trials": 2, "warmup_steps": 0}
HALVING = {"name": "halving", "first_step": 1, "reduction": 2}
TPE = {"name": "tpe", "startup_trials": 3, "candidates": 24, "multivariate": None, "group": False}
NSGA2 = {"name": "nsga2", "population_size": 2, "mutation": None, "crossover": 0.9}


class Killed(Exception):
    """The controller dies before this write."""


class Controller:
    """A search with one worker whose trials are computed at once.

    Args:
        life: the number of writes after which it is killed.
    """

    def __init__(self, folder: Path, strategy: Mapping[str, Any], pruner: Mapping[str, Any], count: int, life: int):
        self.folder, self.objective_count, self.life = folder, count, life
        self.strategy: Strategy = find_strategy(strategy)
        self.pruning = find_pruning(pruner)
        self.asked_file = folder / "asked.jsonl"

    def write(self) -> None:
        """Count a write."""
        if self.life == 0:
            raise Killed
        self.life -= 1

    def run(self) -> optuna.Study:
        """Take up what is unfinished, then ask until there are enough trials."""
        asked = read_asked_trials(self.asked_file)
        storage = open_journal(self.folder / "journal.log", len(asked), self.write)
        directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE][: self.objective_count]
        study = open_study(storage, "3f9c01aa27de", directions)
        study.pruner = build_pruner(self.pruning, STEPS, self.objective_count)
        let_sampler_end_asking(study)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            self.answer(study, optuna.Trial(study, trial._trial_id))
        while len(study.trials) < TRIALS:
            self.enqueue_first(study)
            refused = "refused" in study.trials[-1].constraints
            trial, answers = ask_point(study, self.strategy, NAMES, _choose, after_refusal=refused)
            overrides = tuple(f"{name}={value!r}" for name, value in answers.items())
            append_asked_trial(self.asked_file, AskedTrial(trial.number, overrides, ()), self.write)
            self.answer(study, trial)
        return study

    def enqueue_first(self, study: optuna.Study) -> None:
        """Have the first trial take given values, as `search.first` does."""
        if not study.trials:
            study.enqueue_trial({"method": "none", "lr": 0.02, "decay": 0.5, "epochs": 3})

    def answer(self, study: optuna.Study, trial: optuna.Trial) -> None:
        """Report the trial's steps, prune it, refuse it or tell it."""
        if trial.number == 2:
            set_constraints(trial, {"cost": None}, mishap="refused")
            study.tell(trial, state=TrialState.PRUNED)
            return
        cost = float(trial.params["epochs"])
        reported = read_reports(trial.storage.get_trial(trial._trial_id))
        for step in range(len(reported) + 1, STEPS + 1):
            report_step(trial, step, step * trial.params["lr"])
            if should_prune(self.pruning, trial, {1: cost}):
                set_constraints(trial, {"cost": cost / 5 - 1})
                study.tell(trial, state=TrialState.PRUNED)
                return
        set_constraints(trial, {"cost": cost / 5 - 1})
        study.tell(trial, [trial.params["lr"], cost][: self.objective_count])


def _choose(trial: optuna.Trial) -> dict[str, Any]:
    return choose_branch(trial) | {name: ask(trial, NAMES, name) for name in NUMBERS}


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written, synced or not."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize(
    ("strategy", "pruner", "objectives"), [(TPE, HALVING, 1), (NSGA2, MEDIAN, 2), ({"name": "random"}, MEDIAN, 1)]
)
def test_wherever_it_is_cut_trials_values_and_steps_are_those_of_an_uncut_search(
    tmp_path: Path, strategy: Mapping[str, Any], pruner: Mapping[str, Any], objectives: int
) -> None:
    uncut = Controller(_make_folder(tmp_path, "uncut"), strategy, pruner, objectives, life=10**9)
    expected = _describe(uncut.run())
    write_count = 10**9 - uncut.life
    assert {state for state, *_ in expected} == {"COMPLETE", "PRUNED"}
    for life in range(1, write_count):
        folder = _make_folder(tmp_path, str(life))
        with pytest.raises(Killed):
            Controller(folder, strategy, pruner, objectives, life).run()
        study = Controller(folder, strategy, pruner, objectives, 10**9).run()
        assert _describe(study) == expected, f"cut before write {life}"
        assert len(read_asked_trials(folder / "asked.jsonl")) == TRIALS


def _describe(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [
        (trial.state.name, trial.values, trial.params, read_reports(trial), dict(sorted(trial.system_attrs.items())))
        for trial in study.trials
    ]


def _make_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
