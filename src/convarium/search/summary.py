"""What a search found, as the document of `convarium search --json`."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from convarium.search.asked_trials import AskedTrial
from convarium.search.search import Search
from convarium.search.search_folder import SearchFolder
from convarium.search.study import MEASURES_ATTRIBUTE, STORED_ATTRIBUTE
from convarium.search.tally import Tally
from convarium.search.trial import Outcome

LEAST_TRIALS_FOR_IMPORTANCES = 50

Json = dict[str, Any]


def summarise_search(search: Search, folder: SearchFolder, study: optuna.Study, asked: Sequence[AskedTrial]) -> Json:
    """Return counts and the best trials; the same for the same search, however often it was cut off."""
    trials = study.get_trials(deepcopy=False)
    tally = Tally(trials)
    counted = [trial for trial in trials if trial.state.is_finished() and not tally.was_turned_down(trial.number)]
    return {
        "study": folder.signature,
        "path": str(folder.path),
        "trials": tally.counted,
        "distinct": len({asked[trial.number].signatures for trial in counted}),
        "running": sum(trial.state == TrialState.RUNNING for trial in trials),
        "pruned": tally.counts[Outcome.PRUNED],
        "failed": tally.counts[Outcome.FAILED],
        "refused": tally.counts[Outcome.REFUSED],
        "gated": tally.counts[Outcome.GATED],
        "stored": sum(bool(trial.user_attrs.get(STORED_ATTRIBUTE)) for trial in counted),
        "objectives": [objective.name for objective in search.objectives],
        "importances": find_importances(study),
        "best": [_describe_trial(search, trial, asked[trial.number]) for trial in find_best_trials(search, trials)],
    }


def find_importances(study: optuna.Study) -> dict[str, float] | None:
    """Return how much each name decides of the first objective (PED-ANOVA, Watanabe et al. 2023), 1 in all.

    None with fewer than 50 complete trials. Only names that all trials share are compared.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < LEAST_TRIALS_FOR_IMPORTANCES:
        return None
    sign = -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1  # it asks what leads to low values
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    with warnings.catch_warnings(action="ignore"):
        return optuna.importance.get_param_importances(
            study, evaluator=evaluator, target=lambda trial: sign * trial.values[0]
        )


def find_best_trials(search: Search, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the best trial within all limits; of several objectives the front, the best by the first one first.

    Of equal trials the earliest counts.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and _is_feasible(search, trial)]
    scores = {trial.number: _score_trial(search, trial) for trial in complete}
    distinct = {scores[trial.number]: trial for trial in reversed(complete)}
    front = [trial for score, trial in distinct.items() if not any(_dominates(other, score) for other in distinct)]
    return sorted(front, key=lambda trial: (tuple(-value for value in scores[trial.number]), trial.number))


def _is_feasible(search: Search, trial: FrozenTrial) -> bool:
    measures = trial.user_attrs[MEASURES_ATTRIBUTE]
    return all(limit.is_met(measures[limit.measure.metric]) for limit in search.limits)


def _score_trial(search: Search, trial: FrozenTrial) -> tuple[float, ...]:
    """Return the objectives of a trial, all such that more is better."""
    measures = trial.user_attrs[MEASURES_ATTRIBUTE]
    return tuple(
        measures[objective.metric] if objective.is_higher_better else -measures[objective.metric]
        for objective in search.objectives
    )


def _dominates(other: tuple[float, ...], score: tuple[float, ...]) -> bool:
    return other != score and all(a >= b for a, b in zip(other, score, strict=True))


def _describe_trial(search: Search, trial: FrozenTrial, asked: AskedTrial) -> Json:
    measures = trial.user_attrs[MEASURES_ATTRIBUTE]
    shown = [*search.objectives, *(limit.measure for limit in search.limits)]
    return {
        "trial": trial.number,
        "overrides": list(asked.overrides),
        "signatures": list(asked.signatures),
        "values": {measure.metric: measures[measure.metric] for measure in shown},
    }
