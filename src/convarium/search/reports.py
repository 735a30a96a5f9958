"""What trials report while they train: the value of the first objective at a step.

With several objectives Optuna refuses reports (optuna#3450); they are then user attributes of the trial.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

REPORT_PREFIX = "report:"


def report_step(trial: "Trial", step: int, value: float) -> None:
    """Keep the value of a step in the journal."""
    if len(trial.study.directions) == 1:
        trial.report(value, step)
    else:
        trial.set_user_attr(f"{REPORT_PREFIX}{step}", value)


def read_reports(trial: "FrozenTrial") -> dict[int, float]:
    """Return the values that a trial reported, by step, in the order of the steps."""
    reports = dict(trial.intermediate_values)
    for key, value in trial.user_attrs.items():
        if key.startswith(REPORT_PREFIX):
            reports[int(key.removeprefix(REPORT_PREFIX))] = value
    return dict(sorted(reports.items()))


def find_report(trial: "FrozenTrial", step: int) -> float | None:
    """Return the value that a trial reported at a step, None where it reported none."""
    value: float | None = trial.intermediate_values.get(step, trial.user_attrs.get(f"{REPORT_PREFIX}{step}"))
    return value
