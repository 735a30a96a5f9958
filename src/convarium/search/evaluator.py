"""The evaluator of a search: what a trial is made of besides its point, and what is read from the store."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from convarium.config.point import Point
from convarium.errors import UserError
from convarium.lookup import find_by_name, find_companion
from convarium.planning.plan import Plan
from convarium.store.store import Store


class Evaluator(Protocol):
    """Says which stages answer a trial, and reads the answer."""

    def plan(self, point: Point) -> Plan | None:
        """Return the stages that a trial's point needs; None where it is answered without any.

        Raises:
            UserError: the point can't be evaluated.
        """

    def measures(self, plan: Plan | None, point: Point, store: Store) -> Mapping[str, float]:
        """Return the trial's measures, all that the evaluator offers, once the plan's stages are stored.

        Args:
            plan: what `plan` has returned for the point.
        """


def build_evaluator(config: Mapping[str, Any]) -> tuple[Evaluator, tuple[str, ...]]:
    """Return the evaluator of `search.evaluator`, and the names of the measures that it offers.

    Args:
        config: its `name`, one of ours or an import path, and its knobs.

    Raises:
        UserError: there is none of that name, or it offers nothing.
    """
    knobs = {key: value for key, value in config.items() if key != "name"}
    build = find_by_name("search.evaluators", config["name"])
    offers: Sequence[str] = find_companion(build, "OFFERS") or ()
    if not offers:
        raise UserError(f"search.evaluator {config['name']}: its module has no OFFERS, the names of its measures")
    evaluator: Evaluator = build(**knobs)
    return evaluator, tuple(offers)
