"""The median rule for a quality and costs that are known before training, where Optuna has none (optuna#3450).

A trial is compared with those alone that cost no more. So a small network is not given up for being worse than larger
ones, and one that is cheaper than all before it never is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from convarium.search.reports import find_report, read_reports


@dataclass(frozen=True)
class CostMedian:
    """Prunes at a step where the best value so far is worse than the median of what others had at that step.

    Attributes:
        startup_trials: of how many complete trials that cost no more there must be.
        warmup_steps: before this step nothing is pruned.
    """

    startup_trials: int
    warmup_steps: int

    def should_prune(self, study: Study, trial: FrozenTrial, costs: Mapping[int, float]) -> bool:
        """Whether a trial is to be left at the last step that it reported.

        Args:
            costs: of its network, by the index of the objective; the objective that is left is the quality which
                trials report.
        """
        (quality,) = set(range(len(study.directions))) - set(costs)
        reports = read_reports(trial)
        step = max(reports, default=0)
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        peers = [other for other in complete if _costs_no_more(other, costs, study.directions)]
        values = [value for value in (find_report(peer, step) for peer in peers) if value is not None]
        if step < self.warmup_steps or len(peers) < self.startup_trials or not values:
            return False
        median = float(np.percentile(values, 50))  # to the last bit what Optuna's rule compares with
        if study.directions[quality] == StudyDirection.MAXIMIZE:
            return max(reports.values()) < median
        return min(reports.values()) > median


def _costs_no_more(trial: FrozenTrial, costs: Mapping[int, float], directions: Sequence[StudyDirection]) -> bool:
    signs = {index: -1 if directions[index] == StudyDirection.MAXIMIZE else 1 for index in costs}
    return all(signs[index] * trial.values[index] <= signs[index] * cost for index, cost in costs.items())
