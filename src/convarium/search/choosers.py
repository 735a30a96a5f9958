"""Choosers: who answers when a space asks. A space is one function; each of these is one way to go through it."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from convarium.config.messages import format_value, suggest_nearest
from convarium.errors import UserError
from convarium.search.space import Domain, Options, RealRange, Value, WholeRange

if TYPE_CHECKING:
    from numpy.random import Generator
    from optuna.trial import BaseTrial

SUBSET_SEPARATOR = "+"
MAX_SUBSETS = 10_000


class Chooser(Protocol):
    """Answers a space's questions; a name is asked once a trial, and always with the same options."""

    def word(self, name: str, options: Sequence[str]) -> str:
        """Return one of several words."""

    def number(self, name: str, options: Sequence[int]) -> int:
        """Return one of several numbers, as a choice without an order."""

    def real(self, name: str, low: float, high: float, log: bool = False, step: float | None = None) -> float:
        """Return a number from `low` to `high`, some steps above `low` where there is a step."""

    def whole(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """Return a whole number from `low` to `high`, some steps above `low`."""

    def subset(self, name: str, options: Sequence[str], least: int, most: int) -> tuple[str, ...]:
        """Return `least` to `most` of several words, in their order."""


class DomainChooser(ABC):
    """Answers every kind of question by a value of a domain.

    Attributes:
        answers: by the names that were asked, in the order in which they were.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Value] = {}

    @abstractmethod
    def _pick(self, name: str, domain: Domain) -> Value:
        """Return a value of the domain."""

    def word(self, name: str, options: Sequence[str]) -> str:
        """Return one of several words."""
        return str(self._answer(name, Options, tuple(options)))

    def number(self, name: str, options: Sequence[int]) -> int:
        """Return one of several numbers, as a choice without an order."""
        return int(self._answer(name, Options, tuple(map(str, options))))

    def real(self, name: str, low: float, high: float, log: bool = False, step: float | None = None) -> float:
        """Return a number from `low` to `high`, some steps above `low` where there is a step."""
        return float(self._answer(name, RealRange, low, high, log, step))

    def whole(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """Return a whole number from `low` to `high`, some steps above `low`."""
        return int(self._answer(name, WholeRange, low, high, step, log))

    def subset(self, name: str, options: Sequence[str], least: int, most: int) -> tuple[str, ...]:
        """Return `least` to `most` of several words, in their order."""
        text = str(self._answer(name, Options, tuple(list_subsets(options, least, most))))
        return tuple(filter(None, text.split(SUBSET_SEPARATOR)))

    def _answer(self, name: str, kind: type[Domain], *arguments: Any) -> Value:
        if name in self.answers:
            raise UserError(f"{name}: a space asked for it twice in one trial")
        try:
            domain = kind(*arguments)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        self.answers[name] = self._pick(name, domain)
        return self.answers[name]


class FixedChooser(DomainChooser):
    """Answers by values that were given, such as those of a trial that is to be tried again."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__()
        self.values = values

    def _pick(self, name: str, domain: Domain) -> Value:
        if name not in self.values:
            raise UserError(f"{name} has no value, {_format_expected(domain)}")
        value = self.values[name]
        if not domain.contains(value):
            hint = suggest_nearest(str(value), domain.texts) if isinstance(domain, Options) else ""
            raise UserError(f"{name}={format_value(value)}: {_format_expected(domain)}{hint}")
        return value


class RandomChooser(DomainChooser):
    """Answers at random: each option alike, numbers evenly over their range or its logarithm."""

    def __init__(self, generator: "Generator") -> None:
        super().__init__()
        self.generator = generator

    def _pick(self, name: str, domain: Domain) -> Value:
        return domain.get_value_at(float(self.generator.random()))


class TrialChooser(DomainChooser):
    """Answers what the sampler of a trial of Optuna proposes."""

    def __init__(self, trial: "BaseTrial") -> None:
        super().__init__()
        self.trial = trial

    def _pick(self, name: str, domain: Domain) -> Value:
        if isinstance(domain, Options):
            return str(self.trial.suggest_categorical(name, domain.texts))
        if isinstance(domain, WholeRange):
            return int(self.trial.suggest_int(name, domain.low, domain.high, step=domain.step, log=domain.log))
        number = self.trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
        return domain.round_to_step(float(number))


def ask_domain(chooser: Chooser, name: str, domain: Domain) -> Value:
    """Return what a chooser answers for a domain."""
    if isinstance(domain, Options):
        return chooser.word(name, domain.texts)
    if isinstance(domain, WholeRange):
        return chooser.whole(name, domain.low, domain.high, domain.step, domain.log)
    return chooser.real(name, domain.low, domain.high, domain.log, domain.step)


def list_subsets(options: Sequence[str], least: int, most: int) -> list[str]:
    """Return the subsets of `least` to `most` options, each as one text, the small ones first.

    Raises:
        UserError: they are too many to choose from.
    """
    sizes = range(least, most + 1)
    subsets = itertools.chain.from_iterable(itertools.combinations(options, size) for size in sizes)
    texts = [SUBSET_SEPARATOR.join(subset) for subset in itertools.islice(subsets, MAX_SUBSETS + 1)]
    if len(texts) > MAX_SUBSETS:
        raise UserError(f"more than {MAX_SUBSETS:,} subsets of {len(options)} options; ask for each option by itself")
    return texts


def _format_expected(domain: Domain) -> str:
    if isinstance(domain, Options):
        return "expected one of its options"
    kind = "whole number" if isinstance(domain, WholeRange) else "number"
    return f"expected a {kind} from {domain.low:g} to {domain.high:g}"
