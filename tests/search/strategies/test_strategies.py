"""What all strategies promise: other seeds for other trials, the same again after a restart, all names where needed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from convarium.errors import UserError
from convarium.search.journal import open_journal, open_study
from convarium.search.needs import Need, check_needs, has_finite_space
from convarium.search.strategy import find_strategy, let_sampler_end_asking
from search.strategies.searching import (
    BRANCHES,
    NUMBERS,
    Answers,
    Names,
    ask_point,
    build_study,
    choose_all,
    choose_branch,
    run_search,
)

RANDOM = {"name": "random"}
TPE = {"name": "tpe", "startup_trials": 5, "candidates": 24, "multivariate": None, "group": False}
NSGA2 = {"name": "nsga2", "population_size": 5, "mutation": None, "crossover": 0.9}
GP = {"name": "gp", "startup_trials": 5}
MIXED: Names = {**BRANCHES, **NUMBERS}


def _sampler(name: str, **knobs: Any) -> dict[str, Any]:
    return {"name": "optuna", "sampler": f"optuna.samplers:{name}", "knobs": knobs}


QMC, CMA, GRID, BRUTE = (_sampler(name + "Sampler") for name in ("QMC", "CmaEs", "Grid", "BruteForce"))


def _value(answers: Answers) -> float:
    return float(answers.get("lr", 0.1)) + len(answers)


@pytest.mark.parametrize("config", [RANDOM, TPE, NSGA2, QMC])
def test_another_process_goes_on_as_the_first_would_have(tmp_path: Path, config: Mapping[str, Any]) -> None:
    uncut = _run_in_parts(tmp_path / "uncut.log", config, [14])
    cut = _run_in_parts(tmp_path / "cut.log", config, [3, 4, 1, 6])
    assert cut == uncut
    assert len({str(point) for point in uncut}) == 14


def _run_in_parts(path: Path, config: Mapping[str, Any], parts: list[int]) -> list[Answers]:
    points = []
    for trials in parts:
        study = open_study(open_journal(path, 10**9, lambda: None), "search", [optuna.study.StudyDirection.MAXIMIZE])
        let_sampler_end_asking(study)
        points += run_search(find_strategy(config), MIXED, choose_all(MIXED), _value, trials, study=study)
    return points


def test_another_seed_of_the_search_gives_other_points() -> None:
    first, second = (
        run_search(find_strategy(RANDOM), NUMBERS, choose_all(NUMBERS), _value, trials=3, seed=seed) for seed in (0, 1)
    )
    assert not {point["lr"] for point in first} & {point["lr"] for point in second}


@pytest.mark.parametrize("config", [NSGA2, GP, QMC, CMA])
def test_samplers_that_model_shared_names_only_are_given_all_of_a_space_with_branches(
    config: Mapping[str, Any],
) -> None:
    strategy = find_strategy(config)
    study = build_study()
    names = {**BRANCHES, **NUMBERS}
    run_search(strategy, names, lambda trial: {**choose_branch(trial)}, lambda point: len(point), 6, study=study)
    trial, _ = ask_point(study, strategy, names, choose_branch)
    frozen = study.get_trials()[trial.number]
    modelled = set(study.sampler.infer_relative_search_space(study, frozen))
    numbers = {"prune.rounds", "lr", "decay", "epochs"}
    assert modelled == (numbers if config is CMA else set(names))


@pytest.mark.parametrize("config", [RANDOM, TPE, GRID, BRUTE])
def test_other_strategies_ask_only_for_what_a_point_has(config: Mapping[str, Any]) -> None:
    study = build_study()
    points = run_search(find_strategy(config), BRANCHES, choose_branch, _value, 6, study=study)
    assert [trial.params for trial in study.trials] == points


@pytest.mark.parametrize(("config", "is_random"), [(NSGA2, True), (GP, True), (CMA, True), (TPE, False), (QMC, False)])
def test_after_a_refusal_those_that_learn_from_complete_trials_are_asked_at_random(
    config: Mapping[str, Any], is_random: bool
) -> None:
    study, strategy = build_study(), find_strategy(config)
    trial, _ = ask_point(study, strategy, MIXED, choose_branch)
    study.tell(trial, state=TrialState.PRUNED)
    _, answers = ask_point(study, strategy, MIXED, choose_branch, after_refusal=True)
    assert type(study.sampler).__name__ == ("DistinctSampler" if is_random else type(strategy.build(0, MIXED)).__name__)
    assert set(study.trials[1].params) == (set(answers) if config is TPE else set(MIXED))


@pytest.mark.parametrize("config", [GRID, BRUTE])
def test_a_sampler_that_stops_the_study_ends_the_asking_also_in_another_process(
    tmp_path: Path, config: Mapping[str, Any]
) -> None:
    first = _run_branches(tmp_path / "journal.log", config, trials=4)
    rest = _run_branches(tmp_path / "journal.log", config, trials=50)
    again = _run_branches(tmp_path / "journal.log", config, trials=50)
    assert {str(point) for point in first + rest} == {
        "{'method': 'none'}",
        *(f"{{'method': 'prune', 'prune.rounds': {rounds}}}" for rounds in (1, 2, 3)),
        *(f"{{'method': 'share', 'share.bits': '{bits}'}}" for bits in (2, 4)),
    }
    assert again == []


def _run_branches(path: Path, config: Mapping[str, Any], trials: int) -> list[Answers]:
    study = open_study(open_journal(path, 10**9, lambda: None), "search", [optuna.study.StudyDirection.MAXIMIZE])
    let_sampler_end_asking(study)
    return run_search(find_strategy(config), BRANCHES, choose_branch, _value, trials, study=study)


def test_what_a_strategy_needs_is_asked_of_the_search_in_one_line() -> None:
    offers = {Need.ONE_OBJECTIVE} if has_finite_space(BRANCHES) else set()
    check_needs("search/strategy=optuna", find_strategy(CMA).needs, offers)
    with pytest.raises(UserError, match=r"^search/strategy=optuna needs a single objective$"):
        check_needs("search/strategy=optuna", find_strategy(CMA).needs, set())
    assert find_strategy(BRUTE).needs == {Need.FINITE_SPACE}
    assert not has_finite_space(NUMBERS)
