"""A sampler that proposes random points, none twice, also where the space has branches."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from convarium.search.asked_points import AskedPoints
from convarium.search.space import Domain, Value

MAX_DRAWS = 100  # of which none is new in a space of which next to nothing is left


class DistinctSampler(BaseSampler):
    """Draws each name at random, evenly over its domain or its logarithm, until the point is a new one.

    Args:
        names: those of the space, with the domain of each.
    """

    def __init__(self, seed: int, names: Mapping[str, Domain]) -> None:
        self._names = names
        self._generator = np.random.default_rng(seed)
        self._other_names = RandomSampler(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {name: domain.to_distribution() for name, domain in self._names.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        asked = list_asked_points(study, self._names, but=trial.number)
        for _ in range(MAX_DRAWS):
            assignment = {name: self._draw(domain) for name, domain in self._names.items()}
            if not asked.contains(assignment):
                return assignment
        return self._find_free_assignment(asked)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._other_names.sample_independent(study, trial, param_name, param_distribution)

    def _draw(self, domain: Domain) -> Value:
        return domain.get_value_at(float(self._generator.random()))

    def _find_free_assignment(self, asked: AskedPoints) -> dict[str, Value]:
        """Return an assignment that leads to a new point, name after name; any where there is none."""
        assignment: dict[str, Value] = {}
        for name, domain in self._names.items():
            values = [self._draw(domain)] if domain.count is None else domain.list_values()
            self._generator.shuffle(values)
            free = (value for value in values if asked.count_free({**assignment, name: value}))
            assignment[name] = next(free, values[0])
        return assignment


def list_asked_points(study: Study, names: Mapping[str, Domain], but: int | None = None) -> AskedPoints:
    """Return the points of a study's trials, running ones included, but for those of trial `but`."""
    # Not study.get_trials: under Hyperband that is a study of one bracket.
    trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
    asked = [trial for trial in trials if trial.state != TrialState.WAITING and trial.number != but]
    return AskedPoints(names, (trial.params for trial in asked))
