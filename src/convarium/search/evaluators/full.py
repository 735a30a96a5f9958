"""The full evaluator: a trial is trained and compressed as `run` would do it, then scored on the validation images."""

from collections.abc import Mapping
from dataclasses import dataclass

from convarium.config.point import Point
from convarium.errors import StageFailed, UserError
from convarium.planning.plan import Plan
from convarium.planning.stage_graph import build_trial_plan
from convarium.search.measures import SCORED_METRICS
from convarium.store.store import Store

OFFERS = SCORED_METRICS


def full() -> "FullEvaluator":
    """Return the evaluator; it has no knobs."""
    return FullEvaluator()


@dataclass(frozen=True)
class FullEvaluator:
    """Makes a point's network whole and scores it (`stages.score`)."""

    def plan(self, point: Point) -> Plan:
        """Return the stages that make the point's network and score it.

        Raises:
            UserError: the dataset is known to have no validation images.
        """
        dataset = point.config["dataset"]
        if (dataset.get("images") or {}).get("validation") == 0:
            raise UserError(f"dataset={dataset['name']} has no validation images, which a search chooses by")
        return build_trial_plan([point])

    def measures(self, plan: Plan | None, point: Point, store: Store) -> Mapping[str, float]:
        """Return the figures of the point's score.

        Raises:
            StageFailed: it is not stored (any more).
        """
        assert plan is not None
        (planned,) = plan.points
        record = store.find_record(planned.measure)
        if record is None:
            raise StageFailed(f"the score {planned.measure} is gone")
        metrics: Mapping[str, float] = record["result"]["metrics"]
        return {name: metrics[name] for name in OFFERS}
