"""What a search offers to its strategy and its pruner, as far as that follows from some of its points."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from convarium.compose.single_point import drop_idle_knobs
from convarium.errors import UserError
from convarium.planning.plan import Node
from convarium.planning.stage_graph import count_epochs
from convarium.search.choosers import RandomChooser
from convarium.search.curve import find_last_training
from convarium.search.known_costs import find_known_costs
from convarium.search.limits import CONSTRAINTS_KEY
from convarium.search.needs import Need, has_finite_space
from convarium.search.search import Search
from convarium.search.space import Domain, Options, Value
from convarium.search.trial import PreparedTrial, prepare_trial

RANDOM_PROBES = 20
MAX_PROBED_OPTIONS = 20  # of a name


class ProbedSearch:
    """Some points of a search: at random, with each option, and with both ends of each range.

    Raises:
        UserError: the line of the first of the points, if each of them is refused.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._trainings: list[Node | None] = []
        self._known_costs: list[set[str]] = []
        refusals = [refusal for refusal in map(self._probe, _list_choosers(search)) if refusal is not None]
        if not self._trainings:
            raise UserError(refusals[0])

    def find_offers(self) -> set[Need]:
        """Return what the search offers."""
        offers = {Need.ONE_OBJECTIVE} if len(self._search.objectives) == 1 else set()
        if has_finite_space(self._search.space.names()):
            offers.add(Need.FINITE_SPACE)
        if any(self._trainings):
            offers.add(Need.CURVE)
        if len({_describe_training(node) for node in self._trainings}) == 1:
            offers.add(Need.EQUAL_STEPS)
        costs = {objective.metric for objective in self._search.objectives if objective.is_cost}
        if len(costs) == len(self._search.objectives) - 1 and all(costs <= known for known in self._known_costs):
            offers.add(Need.KNOWN_COSTS)
        return offers

    def count_steps(self) -> int:
        """Return how many epochs the last training of a trial has; the most of them where they differ."""
        return max((_count_epochs(node) for node in self._trainings if node is not None), default=0)

    def _probe(self, chooser: RandomChooser) -> str | None:
        """Note what a point would train and what it would cost; return the line by which it is refused, if it is."""
        fixed = self._search.fixed
        try:
            point = self._search.compose_points((*fixed, *self._search.space.choose(chooser, fixed)))[0]
            plan = self._search.evaluator.plan(point)
            known_costs = set(find_known_costs(point))
        except UserError as error:
            return str(error)
        self._trainings.append(None if plan is None else find_last_training(plan, plan.points[0]))
        self._known_costs.append(known_costs)
        return None


def find_possible_trial(search: Search) -> PreparedTrial | None:
    """Return a trial that can be made, looking at no more points than that takes; None where none was found.

    A limit is said to exclude all only where all the points exceed it by the same cost: otherwise one that was not
    looked at may meet it.

    Raises:
        UserError: each of the points is refused, or exceeds a limit by a cost that they share.
    """
    refusals, excesses = [], set()
    for chooser in _list_choosers(search):
        chosen = search.space.choose(chooser, search.fixed)
        prepared = prepare_trial(search, drop_idle_knobs(search.composer, (*search.fixed, *chosen)))
        excess = prepared.explain_broken_limit(search.limits)
        if prepared.refusal is None and excess is None:
            return prepared
        if prepared.refusal is not None:
            refusals.append(prepared.refusal)
        else:
            excesses.add(excess)
    if not excesses:
        raise UserError(refusals[0])
    if len(excesses) == 1:
        raise UserError(f"{CONSTRAINTS_KEY}: no point of the space meets them: {excesses.pop()}")
    return None


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
