"""Counts of a search's trials by what became of them, kept without listing all trials at every look."""

from collections import Counter
from collections.abc import Iterable

from optuna.trial import FrozenTrial

from convarium.errors import UserError
from convarium.search.trial import Outcome, read_outcome

COUNTED_OUTCOMES = (Outcome.COMPLETE, Outcome.PRUNED, Outcome.FAILED)  # for search.trials
MAX_REFUSED_IN_A_ROW = 20
MAX_GATED_IN_A_ROW = 300


class Tally:
    """What became of the trials of a search.

    Attributes:
        counts: of the trials that were told, by outcome.
    """

    def __init__(self, trials: Iterable[FrozenTrial]) -> None:
        self.counts: Counter[Outcome] = Counter()
        self._outcomes: dict[int, Outcome] = {}
        for trial in trials:
            outcome = read_outcome(trial)
            if outcome is not None:
                self.add(trial.number, outcome)

    @property
    def counted(self) -> int:
        """How many trials count for `search.trials`: those that were told and pruned."""
        return sum(self.counts[outcome] for outcome in COUNTED_OUTCOMES)

    def add(self, number: int, outcome: Outcome) -> None:
        """Count a trial that was told."""
        self._outcomes[number] = outcome
        self.counts[outcome] += 1

    def was_turned_down(self, number: int) -> bool:
        """Whether a trial was refused or gated."""
        return self._outcomes.get(number) in (Outcome.REFUSED, Outcome.GATED)

    def check_turned_down(self, last_number: int, reason: str) -> None:
        """Check that not too many trials in a row, up to the last one, were refused or gated.

        Raises:
            UserError: they were; the line is that of the last.
        """
        for outcome, most in ((Outcome.REFUSED, MAX_REFUSED_IN_A_ROW), (Outcome.GATED, MAX_GATED_IN_A_ROW)):
            numbers = range(last_number, last_number - most, -1)
            if all(self._outcomes.get(number) is outcome for number in numbers):
                raise UserError(f"the last {most} trials were {outcome}: {reason}")
