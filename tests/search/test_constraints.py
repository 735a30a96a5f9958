"""What samplers are told of limits."""

import optuna
import pytest
from optuna.samplers import GPSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState

from convarium.search.constraints import set_constraints

X = {"x": optuna.distributions.FloatDistribution(0, 1)}


def _build_study(sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=sampler, directions=["maximize"])


def test_constraints_stand_in_the_order_of_the_limits_and_what_is_not_known_is_left_out() -> None:
    study = _build_study()
    trial = study.ask()
    set_constraints(trial, {"file_bytes": 0.25, "macs": None, "accuracy": -0.02})
    assert list(trial.constraints.items()) == [("file_bytes", 0.25), ("accuracy", -0.02)]


def test_a_trial_without_an_answer_is_worse_than_any_limit() -> None:
    trial = _build_study().ask()
    set_constraints(trial, {"file_bytes": None}, mishap="refused")
    assert trial.constraints == {"refused": 10.0}


def test_what_was_noted_before_the_search_was_cut_off_is_not_noted_again() -> None:
    study = _build_study()
    trial = study.ask()
    set_constraints(trial, {"file_bytes": 0.25})
    again = optuna.Trial(study, trial._trial_id)
    set_constraints(again, {"file_bytes": 0.25, "macs": 0.5})  # without a warning of Optuna's
    assert again.constraints == {"file_bytes": 0.25, "macs": 0.5}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("sampler", "trials"),
    [
        (TPESampler(seed=0), 40),
        (NSGAIISampler(seed=0, population_size=10, mutation_prob=0.1), 40),
        (GPSampler(seed=0), 16),
    ],
)
def test_samplers_learn_from_limits_among_refused_and_complete_trials(
    sampler: optuna.samplers.BaseSampler, trials: int
) -> None:
    study = _build_study(sampler)
    for number in range(trials):
        trial = study.ask(X)
        if number % 10 == 9:
            set_constraints(trial, {"cost": None}, mishap="refused")
            study.tell(trial, state=TrialState.PRUNED)
        else:
            x = trial.params["x"]
            set_constraints(trial, {"cost": x / 0.5 - 1})
            study.tell(trial, x)
    # The objective alone would lead to 1, the limit is at 0.5.
    late = [trial.params["x"] for trial in study.trials[12:]]
    assert sum(x < 0.6 for x in late) > 0.7 * len(late)
