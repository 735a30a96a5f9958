"""A space that is a function: it asks a chooser, and returns values by key of a point.

    def narrow(choose: Chooser, base: Mapping[str, Any], widths: list[int]) -> dict[str, Any]:
        return {"architecture": "wrn_16_1", "recipe.lr": choose.real("lr", 0.001, 0.3, log=True)}

Which names it asks for is found by asking it often at random: a name may depend on other answers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np

from convarium.compose.option_names import resolve_option
from convarium.compose.override_values import format_override_value
from convarium.config.messages import suggest_nearest
from convarium.config.override import Override
from convarium.config.point import POINT_KEYS
from convarium.config.search_path import list_config_groups
from convarium.errors import UserError
from convarium.search.choosers import Chooser, DomainChooser, RandomChooser, ask_domain
from convarium.search.space import Domain, Value
from convarium.search.typed_line import UNSEARCHABLE_GROUPS

SpaceFunction = Callable[..., Mapping[str, Any]]
DISCOVERY_TRIALS = 1000


class FunctionSpace:
    """A function's names, with the space's name before them, and the overrides of what it returns.

    Attributes:
        keys: of a point, that the function sets.
        compressions: the values that it gave `compression` when it was asked for its names.
    """

    def __init__(self, name: str, function: SpaceFunction, arguments: Mapping[str, Any]) -> None:
        """Find the function's names.

        Args:
            name: stands before each of its names.
            function: is called with a chooser and `arguments`, by name.

        Raises:
            UserError: it asks for a name twice or with other options, or returns no values by key.
        """
        self.name, self.function, self.arguments = name, function, arguments
        _check_arguments(name, function, arguments)
        discovery = _Discovery()
        overrides: set[Override] = set()
        for _ in range(DISCOVERY_TRIALS):
            discovery.answers = {}
            overrides.update(self._ask(discovery))
        self.keys = frozenset(override.key for override in overrides)
        self.compressions = frozenset(override.value for override in overrides if override.key == "compression")
        self._names = {f"{name}.{asked}": domain for asked, domain in discovery.domains.items()}

    def names(self) -> Mapping[str, Domain]:
        """Return the function's names, in the order in which they were first asked for."""
        return self._names

    def choose(self, chooser: Chooser, chosen: Sequence[Override] = ()) -> tuple[Override, ...]:
        """Return the overrides of what the function returns.

        Raises:
            UserError: it asks for a name that it never asked for, or with other options.
        """
        return self._ask(_NamedChooser(chooser, self.name, self._names))

    def to_json(self) -> Any:
        """Return what a search's signature hashes."""
        arguments = {key: value for key, value in self.arguments.items() if key != "base"}  # hashed as what is fixed
        names = {name: domain.to_json() for name, domain in self._names.items()}
        return {"function": self.name, "arguments": arguments, "names": names}

    def _ask(self, chooser: Chooser) -> tuple[Override, ...]:
        try:
            values = self.function(chooser, **self.arguments)
            return tuple(self._iterate_overrides(values))
        except UserError as error:
            raise UserError(f"search/space={self.name}: {error}") from None

    def _iterate_overrides(self, values: Any) -> Iterator[Override]:
        if not isinstance(values, Mapping):
            raise UserError(f"its function returns {values!r:.60}, expected values by key (recipe.lr: 0.1)")
        for key, value in values.items():
            group = str(key).partition(".")[0]
            if group == "seed" or group not in POINT_KEYS:
                raise UserError(f"its function sets {key}: no key that is searched{suggest_nearest(group, POINT_KEYS)}")
            if group in UNSEARCHABLE_GROUPS:
                raise UserError(f"its function sets {key}: {group} {UNSEARCHABLE_GROUPS[group]}")
            chosen = resolve_option(key, value) if key in list_config_groups() else value
            yield Override(f"{key}={format_override_value(chosen)}")


def _check_arguments(name: str, function: SpaceFunction, arguments: Mapping[str, Any]) -> None:
    try:
        signature(function).bind(None, **arguments)
    except TypeError as error:
        called_with = ", ".join(["a chooser", *arguments])
        raise UserError(f"search/space={name}: its function is called with {called_with}: {error}") from None


class _Discovery(RandomChooser):
    """Answers at random and notes what was asked."""

    def __init__(self) -> None:
        super().__init__(np.random.default_rng(0))
        self.domains: dict[str, Domain] = {}

    def _pick(self, name: str, domain: Domain) -> Value:
        if self.domains.setdefault(name, domain) != domain:
            raise UserError(f"{name}: its options changed from one trial to another; give them names of their own")
        return super()._pick(name, domain)


class _NamedChooser(DomainChooser):
    """Asks another chooser, with the space's name before each name."""

    def __init__(self, chooser: Chooser, prefix: str, names: Mapping[str, Domain]) -> None:
        super().__init__()
        self.chooser, self.prefix, self.domains = chooser, prefix, names

    def _pick(self, name: str, domain: Domain) -> Value:
        whole_name = f"{self.prefix}.{name}"
        if whole_name not in self.domains:
            raise UserError(f"{name}: asked for in so few trials that it was not found; ask for it more often")
        if self.domains[whole_name] != domain:
            raise UserError(f"{name}: its options changed from one trial to another; give them names of their own")
        return ask_domain(self.chooser, whole_name, domain)
