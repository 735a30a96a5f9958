"""A trial of a search: what it asks of the workers, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import fmean

import optuna
from optuna.trial import FrozenTrial

from convarium.config.override import Override
from convarium.config.point import Point
from convarium.errors import UserError
from convarium.planning.plan import Node, Plan
from convarium.planning.validate import validate_points
from convarium.search.journal_end import OUTCOME_ATTRIBUTE
from convarium.search.limits import Limit
from convarium.search.search import Search
from convarium.store.store import Store


class Outcome(StrEnum):
    """What became of a trial: it was not possible, too dear before training, left while training, or made and told."""

    REFUSED = "refused"
    GATED = "gated"
    PRUNED = "pruned"
    FAILED = "failed"
    COMPLETE = "complete"


@dataclass(frozen=True)
class PreparedTrial:
    """A trial as far as it is known before anything runs.

    Attributes:
        points: one for each seed; none where the trial is refused.
        plans: of each point; None where the evaluator answers without any stage.
        refusal: why the trial is not possible, in one line.
        known_costs: measures that are certain without training.
    """

    overrides: tuple[Override, ...]
    points: tuple[Point, ...] = ()
    plans: tuple[Plan | None, ...] = ()
    refusal: str | None = None
    known_costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def networks(self) -> tuple[str, ...]:
        """The signatures of the networks, one for each seed."""
        return tuple(point.network for plan in self.plans if plan is not None for point in plan.points)

    @property
    def nodes(self) -> dict[str, Node]:
        """The stages of all points by signature, parents first."""
        return {signature: node for plan in self.plans if plan for signature, node in plan.nodes.items()}

    @property
    def goals(self) -> frozenset[str]:
        """The signatures of what must be stored before the trial can be told."""
        return frozenset(signature for plan in self.plans if plan is not None for signature in plan.goal_signatures)

    def explain_broken_limit(self, limits: Sequence[Limit]) -> str | None:
        """Return in a few words which limit a cost exceeds that is certain, None where none is exceeded."""
        for limit in limits:
            value = self.known_costs.get(limit.measure.metric)
            if value is not None and not limit.is_met(value):
                return f"{limit.measure.metric} {value:g}, limited to {limit.value:g}"
        return None


@dataclass
class RunningTrial:
    """A trial that was asked and not told.

    Attributes:
        trial: the study's handle.
        was_stored: whether all its results were there when it was asked: then it waits until all before it are told.
    """

    trial: optuna.Trial
    prepared: PreparedTrial
    was_stored: bool

    @property
    def number(self) -> int:
        """Optuna's number, from 0."""
        return self.trial.number


def prepare_trial(search: Search, overrides: tuple[Override, ...]) -> PreparedTrial:
    """Compose, plan and check a trial."""
    return check_trial(search, compose_trial(search, overrides))


def compose_trial(search: Search, overrides: tuple[Override, ...]) -> PreparedTrial:
    """Compose and plan a trial; whether its network can be built is not looked at, nor what it costs."""
    try:
        points = search.compose_points(overrides)
        return PreparedTrial(overrides, points, tuple(search.evaluator.plan(point) for point in points))
    except UserError as error:
        return PreparedTrial(overrides, refusal=str(error))


def check_trial(search: Search, composed: PreparedTrial) -> PreparedTrial:
    """Return a composed trial with its known costs, or refused if its network can't be built."""
    if composed.refusal is not None:
        return composed
    # Imports torch, for which a mistake in the command line needn't wait.
    from convarium.search.known_costs import find_known_costs

    # The seeds differ in nothing that could be refused.
    search.tried_networks.make_room()
    reasons = validate_points(composed.points[:1], tried=search.tried_networks)
    if reasons:
        return PreparedTrial(composed.overrides, refusal=reasons[0])
    return replace(composed, known_costs=find_known_costs(composed.points[0]))


def read_measures(search: Search, prepared: PreparedTrial, store: Store) -> dict[str, float]:
    """Return the mean of each measure over the seeds, once all is stored.

    Raises:
        StageFailed: a result is gone.
    """
    of_seeds = [
        search.evaluator.measures(plan, point, store)
        for plan, point in zip(prepared.plans, prepared.points, strict=True)
    ]
    if len(of_seeds) == 1:
        return dict(of_seeds[0])  # bytes stay whole numbers
    return {name: fmean(measures[name] for measures in of_seeds) for name in search.offers}


def read_outcome(trial: FrozenTrial) -> Outcome | None:
    """Return what became of a trial, None while it runs."""
    text = trial.user_attrs.get(OUTCOME_ATTRIBUTE)
    return Outcome(text) if text is not None and trial.state.is_finished() else None
