"""Limits of a search: upper ones of costs and of the loss, lower ones of what is better when it is higher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from convarium.config.messages import format_value
from convarium.config.suggestions import suggest_number
from convarium.errors import UserError
from convarium.search.measures import SCORED_METRICS, Measure, find_measure

CONSTRAINTS_KEY = "search.constraints"
SHARES = ("validation_accuracy", "validation_balanced_accuracy")
LEAST_COST = 1  # of bytes, parameters, multiply-accumulates


@dataclass(frozen=True)
class Limit:
    """The most that a trial may cost, or the least that it must reach; the value itself is allowed.

    Attributes:
        value: more than 0.
    """

    measure: Measure
    value: float

    def is_met(self, value: float) -> bool:
        """Whether a trial with this value is within the limit."""
        return self.compute_excess(value) <= 0

    def compute_excess(self, value: float) -> float:
        """Return by which share of the limit a value lies beyond it; 0 and less is within it."""
        excess = value / self.value - 1
        return -excess if self.measure.is_higher_better else excess


def parse_limits(values: Mapping[str, Any], offers: Sequence[str] = SCORED_METRICS) -> tuple[Limit, ...]:
    """Return the limits of `search.constraints`, in the order in which they are written; null is none.

    Raises:
        UserError: an unknown measure, one limited twice, no number, or a limit that all or no networks meet.
    """
    limits: dict[str, Limit] = {}
    for name, value in values.items():
        if value is None:
            continue
        key = f"{CONSTRAINTS_KEY}.{name}"
        measure = find_measure(name, offers, CONSTRAINTS_KEY)
        if measure.metric in limits:
            other = limits[measure.metric].measure.name
            raise UserError(f"{key} and {CONSTRAINTS_KEY}.{other} limit the same figure; leave one out")
        limits[measure.metric] = Limit(measure, _check_value(measure, value, key))
    return tuple(limits.values())


def compute_excesses(limits: Sequence[Limit], figures: Mapping[str, float]) -> dict[str, float | None]:
    """Return by metric what a trial exceeds each limit by, in their order; None where its figure is not known (yet)."""
    metrics = [limit.measure.metric for limit in limits]
    return {
        metric: limit.compute_excess(figures[metric]) if metric in figures else None
        for metric, limit in zip(metrics, limits, strict=True)
    }


def _check_value(measure: Measure, value: Any, key: str) -> float:
    text = f"{key}={format_value(value)}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not isfinite(value):
        hint = suggest_number(value, key, is_whole=False) if isinstance(value, str) else ""
        raise UserError(f"{text}: expected a number{hint}")
    if measure.metric in SHARES and value > 1:
        raise UserError(f"{text}: no network meets it, expected a share of 0..1 such as 0.97")
    least = LEAST_COST if measure.is_cost and not measure.is_higher_better else 0
    if measure.is_higher_better and value <= 0:
        raise UserError(f"{text}: every network meets it; leave it out, or write more")
    if value < least or value <= 0:
        raise UserError(f"{text}: no network meets it; write more")
    return float(value)
