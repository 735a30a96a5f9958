"""Watches the curves of trials that train: each new step is reported, in order, and the pruner is asked after it."""

from convarium.search.curve import read_steps
from convarium.search.measures import Measure
from convarium.search.pruning import Pruning, should_prune
from convarium.search.reports import read_reports, report_step
from convarium.search.trial import RunningTrial
from convarium.store.store import Store


class Watcher:
    """Reports what trials have trained.

    Args:
        objectives: of the search; with a pruning other than none, one is of a curve and the others are known costs.
    """

    def __init__(self, pruning: Pruning, objectives: tuple[Measure, ...], store: Store) -> None:
        self._pruning, self._objectives, self._store = pruning, objectives, store
        self._last_steps: dict[int, int] = {}

    def find_pruned_step(self, running: RunningTrial) -> int | None:
        """Report the steps that a trial made since the last look; return the one at which it is to be left, if any.

        Steps of a stage that is stored are reported as those of one that runs: what is pruned does not depend on when
        somebody looked.
        """
        if not self._pruning.needs:
            return None
        costs = {
            index: running.prepared.known_costs[objective.metric]
            for index, objective in enumerate(self._objectives)
            if objective.is_cost
        }
        last_step = self._find_last_step(running)
        for step, value in self._read_steps(running):
            if step <= last_step:
                continue
            report_step(running.trial, step, value)
            self._last_steps[running.number] = step
            if should_prune(self._pruning, running.trial, costs):
                return step
        return None

    def _read_steps(self, running: RunningTrial) -> list[tuple[int, float]]:
        """Return the steps of the trial's first seed."""
        plan = running.prepared.plans[0]
        quality = next(objective for objective in self._objectives if not objective.is_cost)
        return [] if plan is None else read_steps(self._store, plan, plan.points[0], quality)

    def _find_last_step(self, running: RunningTrial) -> int:
        """Return the last step that was reported, by an earlier controller too."""
        if running.number not in self._last_steps:
            frozen = running.trial.storage.get_trial(running.trial._trial_id)
            self._last_steps[running.number] = max(read_reports(frozen), default=0)
        return self._last_steps[running.number]
