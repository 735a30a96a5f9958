"""What Optuna is told of limits that a trial exceeds, and of trials that have no answer.

Samplers rank trials without an answer within the limits by the plain sum of what exceeds 0 (TPE, NSGA-II), or read
constraints by their position (Gaussian processes). So each is a share of its limit, and all are set in one order.
"""

from collections.abc import Mapping

from optuna.trial import Trial

MISHAP_EXCESS = 10.0  # worse than a limit that is exceeded ten times


def set_constraints(trial: Trial, excesses: Mapping[str, float | None], mishap: str | None = None) -> None:
    """Note in the journal by what share a trial exceeds each limit, before it is told.

    What was noted already, before the search was cut off, stays.

    Args:
        excesses: of all limits, always in the same order; 0 and less is within a limit, None is not known, which only
            trials that are told PRUNED may have.
        mishap: "refused" or "failed", where that is the trial's answer.
    """
    known = {name: excess for name, excess in excesses.items() if excess is not None}
    if mishap is not None:
        known[mishap] = MISHAP_EXCESS
    noted = trial.constraints
    for name, excess in known.items():
        if name not in noted:
            trial.set_constraint(name, excess)
