"""What a search chooses by: figures of a trial's score, under the names by which objectives and limits are typed."""

from collections.abc import Sequence
from dataclasses import dataclass

from convarium.comparison.metric_names import HIGHER_IS_BETTER
from convarium.comparison.pareto import SELECTION_METRICS
from convarium.config.messages import suggest_nearest
from convarium.config.suggestions import suggest_metric
from convarium.errors import UserError

QUALITY_METRICS = ("validation_accuracy", "validation_balanced_accuracy", "validation_loss")
SCORED_METRICS = (*QUALITY_METRICS, "file_bytes", "ratio", "parameters", "nonzeros", "macs")
METRICS_BY_NAME = {**SELECTION_METRICS, "loss": "validation_loss"}
TEST_PREFIX = "test_"
OBJECTIVES_KEY = "search.objectives"


@dataclass(frozen=True)
class Measure:
    """A figure of trials that an objective or a limit names.

    Attributes:
        name: as it is typed: accuracy.
        metric: among what the evaluator gives: validation_accuracy.
    """

    name: str
    metric: str

    @property
    def is_higher_better(self) -> bool:
        """Whether more of it is better."""
        return self.metric in HIGHER_IS_BETTER

    @property
    def is_cost(self) -> bool:
        """Whether it is of the network itself, and says nothing of how well it classifies."""
        return self.metric not in QUALITY_METRICS


def list_measure_names(offers: Sequence[str] = SCORED_METRICS) -> list[str]:
    """Return the names of what an evaluator gives, as they are typed."""
    short_names = {metric: name for name, metric in METRICS_BY_NAME.items()}
    return [short_names.get(metric, metric) for metric in offers]


def find_measure(name: str, offers: Sequence[str] = SCORED_METRICS, key: str = OBJECTIVES_KEY) -> Measure:
    """Return the measure of a name: `accuracy` is the one on the validation images, as everywhere a choice is made.

    Args:
        offers: what the evaluator gives.
        key: of the config, for the error's line.

    Raises:
        UserError: the evaluator gives no such figure, or it is one of the test images.
    """
    metric = METRICS_BY_NAME.get(name, name)
    if metric in offers:
        return Measure(name, metric)
    plain_name = name.removeprefix(TEST_PREFIX)
    if plain_name != name and METRICS_BY_NAME.get(plain_name, plain_name) in offers:
        raise UserError(
            f"{key}: {name}: test images are for reporting, never for choosing; write {plain_name}, which here is that"
            " of the validation images"
        )
    known = list_measure_names(offers)
    raise UserError(f"{key}: no such measure {name!r}{suggest_metric(name, known) or suggest_nearest(name, known)}")


def parse_objectives(names: Sequence[str], offers: Sequence[str] = SCORED_METRICS) -> tuple[Measure, ...]:
    """Return the measures that a search optimises, in the order in which they are typed.

    Raises:
        UserError: there is none, or one that can't be an objective, or one twice.
    """
    if not names:
        raise UserError(f"{OBJECTIVES_KEY} is empty, expected measures such as [accuracy,file_bytes]")
    objectives: dict[str, Measure] = {}
    for name in names:
        measure = find_measure(str(name), offers)
        same = objectives.get(measure.metric)
        if same is not None:
            reason = "is there twice" if same == measure else f"and {same.name} are the same figure"
            raise UserError(f"{OBJECTIVES_KEY}: {name} {reason}; leave one out")
        objectives[measure.metric] = measure
    return tuple(objectives.values())
