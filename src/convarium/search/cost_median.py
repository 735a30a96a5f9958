"""The median rule for a quality and costs that are known before training, where Optuna has none (optuna#3450).

A trial is compared with those alone that cost no more. So a small network is not given up for being worse than larger
ones, and one that is cheaper than all before it never is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from convarium.search.reports import read_reports

Reports = Mapping[int, float]


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
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        peers = [other for other in complete if _costs_no_more(other, costs, study.directions)]
        is_maximised = study.directions[quality] == StudyDirection.MAXIMIZE
        return self.is_worse(read_reports(trial), list(map(read_reports, peers)), is_maximised)

    def is_worse(self, reports: Reports, peers: Sequence[Reports], is_maximised: bool) -> bool:
        """Whether a trial's reports are worse than the median of its peers' at its last step.

        Args:
            reports: values by step.
        """
        if not reports or len(peers) < self.startup_trials:
            return False
        step = max(reports)
        others = [peer[step] for peer in peers if step in peer]
        if step < self.warmup_steps or not others:
            return False
        middle = float(np.percentile(others, 50))  # to the last bit what Optuna's rule compares with
        return max(reports.values()) < middle if is_maximised else min(reports.values()) > middle


def _costs_no_more(trial: FrozenTrial, costs: Mapping[int, float], directions: Sequence[StudyDirection]) -> bool:
    signs = {index: -1 if directions[index] == StudyDirection.MAXIMIZE else 1 for index in costs}
    return all(signs[index] * trial.values[index] <= signs[index] * cost for index, cost in costs.items())
