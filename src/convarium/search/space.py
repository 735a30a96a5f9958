"""A search space: the names that may be asked, the domain of each, and the overrides that answers to them give."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from convarium.config.override import Override
from convarium.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    from convarium.search.choosers import Chooser

Value = str | int | float
MAX_STEPS = 100_000  # of a range of numbers; more are written as an interval
STEP_TOLERANCE = 1e-9  # of a step, by which a number may lie beside a range's


@dataclass(frozen=True)
class Options:
    """One of several texts, without an order.

    Raises:
        UserError: there is none, or one twice.
    """

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.texts:
            raise UserError("there is nothing to choose from")
        if len(set(self.texts)) < len(self.texts):
            twice = next(text for text in self.texts if self.texts.count(text) > 1)
            raise UserError(f"{twice} is there twice")

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.texts)

    def contains(self, value: Any) -> bool:
        """Whether it is one of the values."""
        return value in self.texts

    def get_value_at(self, share: float) -> str:
        """Return the value at a share (0 <= share < 1) of the domain."""
        return self.texts[int(share * self.count)]

    def list_values(self) -> list[Value]:
        """Return all values."""
        return list(self.texts)

    def to_distribution(self) -> "CategoricalDistribution":
        """Return what a trial of Optuna is asked for."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.texts)

    def to_json(self) -> dict[str, Any]:
        """Return what a search's signature hashes."""
        return {"options": list(self.texts)}


@dataclass(frozen=True)
class WholeRange:
    """Ordered whole numbers, both ends included; `high` becomes the last that is some steps above `low`.

    Raises:
        UserError: upside down, no step, a logarithm of what is not above 0 or with a step other than 1.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.step, self.log)
        if self.log and self.step != 1:
            raise UserError("a logarithm has no steps; leave one of them out")
        object.__setattr__(self, "high", self.high - (self.high - self.low) % self.step)

    @property
    def count(self) -> int:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    def contains(self, value: Any) -> bool:
        """Whether it is one of the values."""
        return type(value) is int and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def get_value_at(self, share: float) -> int:
        """Return the value at a share (0 <= share < 1) of the domain, on a scale of logarithms where it has one."""
        if not self.log:
            return self.low + int(share * self.count) * self.step
        number = _place_on_logarithms(self.low - 0.5, self.high + 0.5, share)
        return min(max(round(number), self.low), self.high)

    def list_values(self) -> list[Value]:
        """Return all values."""
        return list(range(self.low, self.high + 1, self.step))

    def to_distribution(self) -> "IntDistribution":
        """Return what a trial of Optuna is asked for."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def to_json(self) -> dict[str, Any]:
        """Return what a search's signature hashes."""
        return {"whole": asdict(self)}


@dataclass(frozen=True)
class RealRange:
    """Numbers from `low` to `high`, both included; with a `step` those that are some steps above `low`.

    Raises:
        UserError: upside down, not finite, no step, a logarithm of what is not above 0 or with a step.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.step, self.log)
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if self.step is None:
            return
        if self.log:
            raise UserError("a logarithm has no steps; leave one of them out")
        object.__setattr__(self, "high", self._get_step((self.count or 1) - 1))

    @property
    def count(self) -> int | None:
        """How many values there are; None where there is no end to them."""
        if self.step is None:
            return 1 if self.low == self.high else None
        return math.floor((self.high - self.low) / self.step + STEP_TOLERANCE) + 1

    def contains(self, value: Any) -> bool:
        """Whether it is one of the values."""
        if type(value) not in (int, float) or not self.low <= value <= self.high:
            return False
        return self.step is None or value == self.round_to_step(value)

    def round_to_step(self, value: float) -> float:
        """Return the nearest of the values, written as short as it can be: 0.3, not 0.30000000000000004."""
        if self.step is None:
            return float(value)
        return self._get_step(round((value - self.low) / self.step))

    def get_value_at(self, share: float) -> float:
        """Return the value at a share (0 <= share < 1) of the domain, on a scale of logarithms where it has one."""
        if self.step is not None:
            return self._get_step(int(share * (self.count or 1)))
        if self.log:
            return min(max(_place_on_logarithms(self.low, self.high, share), self.low), self.high)
        return min(self.low + share * (self.high - self.low), self.high)

    def list_values(self) -> list[Value]:
        """Return all values; only where they have an end."""
        return [self._get_step(index) for index in range(self.count or 0)]

    def to_distribution(self) -> "FloatDistribution":
        """Return what a trial of Optuna is asked for."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def to_json(self) -> dict[str, Any]:
        """Return what a search's signature hashes."""
        return {"real": asdict(self)}

    def _get_step(self, index: int) -> float:
        return float(Decimal(repr(self.low)) + index * Decimal(repr(self.step or 0)))


Domain = Options | WholeRange | RealRange


class SearchSpace(Protocol):
    """What a search may choose from. A space is asked once a trial."""

    def names(self) -> Mapping[str, Domain]:
        """Return all names that may be asked, in a fixed order."""

    def choose(self, chooser: "Chooser", chosen: Sequence[Override] = ()) -> tuple[Override, ...]:
        """Return the overrides that a chooser's answers give; only the knobs of chosen methods are asked for.

        Args:
            chooser: is asked each name once at most.
            chosen: the overrides that others have chosen for the same trial.
        """

    def list_compressions(self) -> frozenset[str]:
        """Return the values that trials may have for `compression`, as far as this space chooses them."""

    def to_json(self) -> Any:
        """Return what a search's signature hashes."""


def _check_range(low: float, high: float, step: float | None, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError("an end is not a finite number")
    if low > high:
        raise UserError(f"upside down: {low:g} is above {high:g}")
    if log and low <= 0:
        raise UserError(f"only numbers above 0 have a logarithm, and it begins at {low:g}")
    if step is not None and not 0 < step < math.inf:
        raise UserError(f"a step of {step:g}, expected one above 0")
    if step is not None and (high - low) / step >= MAX_STEPS:
        raise UserError(f"more than {MAX_STEPS:,} values; write interval(…)")


def _place_on_logarithms(low: float, high: float, share: float) -> float:
    return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
