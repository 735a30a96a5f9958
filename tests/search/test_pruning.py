"""Pruning, with one objective as Optuna does it and with several by curves that are made by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study import StudyDirection
from optuna.trial import TrialState

from convarium.errors import UserError
from convarium.search.distinct_sampler import DistinctSampler
from convarium.search.needs import Need, check_needs
from convarium.search.pruning import build_pruner, find_pruning, list_needs, should_prune
from convarium.search.reports import read_reports, report_step
from convarium.search.space import WholeRange

NONE = {"name": "none"}
MEDIAN = {"name": "median", "startup_trials": 5, "warmup_steps": 0}
HALVING = {"name": "halving", "first_step": 1, "reduction": 4}
HYPERBAND = {"name": "hyperband", "first_step": 1, "reduction": 3}
ACCURACY_AND_MACS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
CURVE = (0.2, 0.4, 0.6)
GOOD = (0.5, 0.7, 0.8)


def _build_study(directions: Sequence[StudyDirection] = ACCURACY_AND_MACS) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=list(directions), study_name="3f9c01aa27de")


def _train(
    study: optuna.Study, curve: Sequence[float], macs: float, config: Mapping[str, Any] = MEDIAN, macs_index: int = 1
) -> int | None:
    """Train a trial; return the step at which it is pruned, None where it is told."""
    pruning = find_pruning(config)
    trial = study.ask()
    for step, value in enumerate(curve, 1):
        report_step(trial, step, value)
        if should_prune(pruning, trial, {macs_index: macs}):
            study.tell(trial, state=TrialState.PRUNED)
            return step
    values = [curve[-1], macs] if macs_index else [macs, curve[-1]]
    study.tell(trial, values)
    return None


def test_a_trial_that_is_worse_than_the_median_of_those_that_cost_no_more_is_pruned() -> None:
    study = _build_study()
    for _ in range(5):
        assert _train(study, GOOD, macs=100) is None
    assert _train(study, CURVE, macs=100) == 1
    assert _train(study, (0.5, 0.6, 0.9), macs=200) == 2
    assert _train(study, (0.6, 0.1, 0.1), macs=100) == 2


def test_what_is_cheaper_than_everything_so_far_is_never_pruned() -> None:
    study = _build_study()
    for _ in range(8):
        _train(study, GOOD, macs=100)
    assert _train(study, (0.0, 0.0, 0.0), macs=99) is None


def test_fewer_than_five_that_cost_no_more_prune_nothing() -> None:
    study = _build_study()
    for macs in (10, 20, 30, 40, 1000, 1000, 1000):
        _train(study, GOOD, macs)
    assert _train(study, CURVE, macs=50) is None
    assert _train(study, CURVE, macs=55) == 1


def test_pruned_trials_and_those_that_ended_before_the_step_are_no_measure() -> None:
    study = _build_study()
    for _ in range(5):
        _train(study, (0.5,), macs=100)
    assert _train(study, (0.4, 0.4), macs=100) == 1
    assert _train(study, (0.6, 0.0, 0.0), macs=100) is None


def test_the_objectives_may_stand_in_either_order_and_direction() -> None:
    study = _build_study([StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
    for _ in range(5):  # a cost that is better when it is higher, and a loss
        _train(study, (0.9, 0.5, 0.2), macs=8.0, macs_index=0)
    assert _train(study, (1.0, 0.6, 0.4), macs=7.0, macs_index=0) == 1
    assert _train(study, (1.0, 0.6, 0.4), macs=9.0, macs_index=0) is None


def test_before_the_warm_up_ends_nothing_is_pruned() -> None:
    study, late = _build_study(), {**MEDIAN, "warmup_steps": 3}
    for _ in range(5):
        _train(study, GOOD, macs=100, config=late)
    assert _train(study, CURVE, macs=100, config=late) == 3


CURVES = st.lists(st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.8]), min_size=1, max_size=4), max_size=12)


@settings(max_examples=60, deadline=None)
@given(CURVES, st.sampled_from([StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]))
def test_where_costs_are_equal_it_is_the_median_rule_of_optuna(
    curves: list[list[float]], direction: StudyDirection
) -> None:
    several = _build_study([direction, StudyDirection.MINIMIZE])
    single = _build_study([direction])
    single.pruner = build_pruner(find_pruning(MEDIAN), 4, objective_count=1)
    for curve in curves:
        assert _train(several, curve, macs=1.0) == _train_alone(single, curve)


def _train_alone(study: optuna.Study, curve: Sequence[float]) -> int | None:
    trial = study.ask()
    for step, value in enumerate(curve, 1):
        trial.report(value, step)
        if should_prune(find_pruning(MEDIAN), trial, {}):
            study.tell(trial, state=TrialState.PRUNED)
            return step
    study.tell(trial, curve[-1])
    return None


def test_reports_are_read_back_whatever_the_number_of_objectives() -> None:
    for directions in ([StudyDirection.MAXIMIZE], ACCURACY_AND_MACS):
        study = _build_study(directions)
        trial = study.ask()
        for step in (2, 1, 10):
            report_step(trial, step, step / 10)
        assert list(read_reports(study.trials[0]).items()) == [(1, 0.1), (2, 0.2), (10, 1.0)]


@pytest.mark.parametrize("config", [HALVING, HYPERBAND])
def test_with_one_objective_the_worse_are_left_at_the_rungs(config: Mapping[str, Any]) -> None:
    study, pruning = _build_study([StudyDirection.MAXIMIZE]), find_pruning(config)
    study.pruner = build_pruner(pruning, 9, objective_count=1)
    pruned = 0
    for number in range(30):
        trial = study.ask()
        for step in range(1, 10):
            report_step(trial, step, (number % 10) / 10)
            if should_prune(pruning, trial, {}):
                study.tell(trial, state=TrialState.PRUNED)
                pruned += 1
                break
        else:
            study.tell(trial, (number % 10) / 10)
    assert 5 < pruned < 28
    assert study.best_value == 0.9


def test_under_hyperband_random_search_asks_no_point_of_another_bracket_again() -> None:
    names = {"epochs": WholeRange(1, 12)}
    study = _build_study([StudyDirection.MAXIMIZE])
    study.pruner = build_pruner(find_pruning(HYPERBAND), 9, objective_count=1)
    for seed in range(12):
        study.sampler = DistinctSampler(seed, names)
        trial = study.ask({"epochs": names["epochs"].to_distribution()})
        study.tell(trial, 0.0)
    assert {trial.params["epochs"] for trial in study.trials} == set(range(1, 13))


@pytest.mark.parametrize(
    ("config", "objectives", "needs"),
    [
        (NONE, 1, []),
        (NONE, 2, []),
        (MEDIAN, 1, [Need.CURVE, Need.EQUAL_STEPS]),
        (MEDIAN, 2, [Need.CURVE, Need.EQUAL_STEPS, Need.KNOWN_COSTS]),
        (HALVING, 1, [Need.CURVE, Need.EQUAL_STEPS]),
        (HALVING, 2, [Need.CURVE, Need.EQUAL_STEPS, Need.ONE_OBJECTIVE]),
        (HYPERBAND, 2, [Need.CURVE, Need.EQUAL_STEPS, Need.ONE_OBJECTIVE]),
    ],
)
def test_what_a_pruner_needs_depends_on_the_objectives(
    config: Mapping[str, Any], objectives: int, needs: list[Need]
) -> None:
    assert list_needs(find_pruning(config), objectives) == needs


def test_a_pruner_without_a_curve_or_with_unknown_costs_is_refused_in_one_line() -> None:
    needs = list_needs(find_pruning(MEDIAN), 2)
    check_needs("search/pruner=median", needs, set(Need))
    with pytest.raises(UserError, match=r"^search/pruner=median needs a curve to look at, and nothing is"):
        check_needs("search/pruner=median", needs, set())
    with pytest.raises(UserError, match=r"^search/pruner=median needs each cost .* to be known before"):
        check_needs("search/pruner=median", needs, {Need.CURVE, Need.EQUAL_STEPS})
