"""What a search offers to its strategy and its pruner, as far as that follows from some of its points."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from convarium.compose.single_point import drop_idle_knobs
from convarium.errors import UserError
from convarium.planning.plan import Node
from convarium.planning.stage_graph import count_epochs
from convarium.search.choosers import RandomChooser
from convarium.search.curve import find_last_training
from convarium.search.limits import CONSTRAINTS_KEY
from convarium.search.needs import Need, has_finite_space
from convarium.search.search import Search
from convarium.search.space import Domain, Options, Value
from convarium.search.trial import PreparedTrial, check_trial, compose_trial

RANDOM_PROBES = 20
MAX_PROBED_OPTIONS = 20  # of a name


class _Probe(NamedTuple):
    """What a point would train last, and which of its costs are certain before that."""

    training: Node | None
    known_costs: set[str]


class ProbedSearch:
    """Some points of a search: at random, with each option, and with both ends of each range.

    Each is composed once, when it is first looked at.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._choosers = _list_choosers(search)
        self._composed: list[PreparedTrial] = []

    def find_possible_trial(self) -> PreparedTrial | None:
        """Return a trial that can be made, looking at no more points than that takes; None where none was found.

        A limit is said to exclude all only where all the points exceed it by the same cost: otherwise one that was not
        looked at may meet it.

        Raises:
            UserError: each of the points is refused, or exceeds a limit by a cost that they share.
        """
        refusals, excesses = [], set()
        for composed in self._iterate_trials():
            trial = check_trial(self._search, composed)
            excess = trial.explain_broken_limit(self._search.limits)
            if trial.refusal is None and excess is None:
                return trial
            if trial.refusal is not None:
                refusals.append(trial.refusal)
            else:
                excesses.add(excess)
        if not excesses:
            raise UserError(refusals[0])
        if len(excesses) == 1:
            raise UserError(f"{CONSTRAINTS_KEY}: no point of the space meets them: {excesses.pop()}")
        return None

    def list_timed_configs(self) -> list[dict[str, Any]]:
        """Return the config of each of the points of which a stage is for some hardware."""
        return [
            point.config
            for trial in self._iterate_trials()
            for point, plan in zip(trial.points, trial.plans, strict=True)
            if plan is not None and any("hardware" in node.runtime for node in plan.nodes.values())
        ]

    def find_offers(self) -> set[Need]:
        """Return what the search offers."""
        offers = {Need.ONE_OBJECTIVE} if len(self._search.objectives) == 1 else set()
        if has_finite_space(self._search.space.names()):
            offers.add(Need.FINITE_SPACE)
        if any(probe.training for probe in self._probes):
            offers.add(Need.CURVE)
        if len({_describe_training(probe.training) for probe in self._probes}) == 1:
            offers.add(Need.EQUAL_STEPS)
        costs = {objective.metric for objective in self._search.objectives if objective.is_cost}
        if len(costs) == len(self._search.objectives) - 1 and all(costs <= probe.known_costs for probe in self._probes):
            offers.add(Need.KNOWN_COSTS)
        return offers

    def count_steps(self) -> int:
        """Return how many epochs the last training of a trial has; the most of them where they differ."""
        return max((_count_epochs(probe.training) for probe in self._probes if probe.training is not None), default=0)

    @cached_property
    def _probes(self) -> list[_Probe]:
        """What is known of the points that are not refused."""
        return [probe for probe in map(_build_probe, self._iterate_trials()) if probe is not None]

    def _iterate_trials(self) -> Iterator[PreparedTrial]:
        yield from self._composed
        fixed, space = self._search.fixed, self._search.space
        for chooser in self._choosers:
            overrides = drop_idle_knobs(self._search.composer, (*fixed, *space.choose(chooser, fixed)))
            self._composed.append(compose_trial(self._search, overrides))
            yield self._composed[-1]


def _build_probe(composed: PreparedTrial) -> _Probe | None:
    """Return what is known of a composed trial, None where it is refused."""
    if composed.refusal is not None:
        return None
    from convarium.search.known_costs import find_known_costs  # imports torch

    point, plan = composed.points[0], composed.plans[0]
    try:
        known_costs = set(find_known_costs(point))
    except UserError:
        return None
    return _Probe(None if plan is None else find_last_training(plan, plan.points[0]), known_costs)


class _PinnedChooser(RandomChooser):
    """Answers one name by a given value, the others at random."""

    def __init__(self, generator: np.random.Generator, name: str, value: Value) -> None:
        super().__init__(generator)
        self.name, self.value = name, value

    def _pick(self, name: str, domain: Domain) -> Value:
        return self.value if name == self.name else super()._pick(name, domain)


def _list_choosers(search: Search) -> Iterator[RandomChooser]:
    generator = np.random.default_rng(0)
    for name, domain in search.space.names().items():
        values = domain.texts[:MAX_PROBED_OPTIONS] if isinstance(domain, Options) else (domain.low, domain.high)
        for value in values:
            yield _PinnedChooser(generator, name, value)
    for _ in range(RANDOM_PROBES):
        yield RandomChooser(generator)


def _describe_training(node: Node | None) -> Any:
    """Return what must be equal for steps of two trials to be comparable: stage, method, epochs."""
    if node is None:
        return None
    return node.stage, node.stage_config.get("step", {}).get("method"), node.work


def _count_epochs(node: Node) -> int:
    step = node.stage_config.get("step")
    return int(node.stage_config["recipe"]["epochs"]) if step is None else count_epochs(step)
