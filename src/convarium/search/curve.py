"""The steps of a trial: what the stage that trains its network last has reported, epoch by epoch."""

from math import isfinite

from convarium.errors import UserError
from convarium.planning.plan import Node, Plan, PlannedPoint
from convarium.search.measures import Measure
from convarium.store.curves import read_reports
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store

CURVE_METRICS = ("validation_accuracy",)  # what a fit reports of the validation images


def check_has_curve(measure: Measure) -> None:
    """Check that training reports an objective, which a pruner looks at.

    Raises:
        UserError: it does not.
    """
    if measure.metric not in CURVE_METRICS:
        raise UserError(
            f"search.pruner: no curve is kept of {measure.name}, only of accuracy; write search/pruner=none"
        )


def find_last_training(plan: Plan, point: PlannedPoint) -> Node | None:
    """Return the last stage of a point's chain that trains, None where nothing of it does."""
    signature: str | None = point.network
    while signature is not None:
        node = plan.nodes[signature]
        if node.work:
            return node
        signature = node.parents[0] if node.parents else None
    return None


def read_steps(store: Store, plan: Plan, point: PlannedPoint, measure: Measure) -> list[tuple[int, float]]:
    """Return the steps of a trial, and the objective's value at each, of a stage that is stored as of one that runs.

    A step counts the epochs of all phases of the stage, from 1; an epoch that was run again counts once, and an epoch
    without a value, such as one whose loss became NaN, has no entry.
    """
    node = find_last_training(plan, point)
    if node is None:
        return []
    values = {}
    for report in read_reports(ResultFolder(store.folder_of(node)).curves):
        values[report.get("phase"), report.get("epoch")] = report.get(measure.metric)
    return [
        (step, float(value))
        for step, value in enumerate(values.values(), 1)
        if isinstance(value, int | float) and isfinite(value)
    ]
