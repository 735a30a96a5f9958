"""What a method's YAML says is worth searching, under `_search_`: a knob to a list of values or a range of numbers.

`per_site` names the knob whose values may be chosen apart for some weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convarium.compose.hydra_numbers import parse_number_sweep
from convarium.compose.override_values import format_override_value
from convarium.config.key_rules import find_key_rule
from convarium.config.override import Override
from convarium.config.rules import check_value
from convarium.errors import UserError
from convarium.search.choosers import Chooser, ask_domain
from convarium.search.space import Domain, Options
from convarium.search.typed_axes import build_number_axis

Json = dict[str, Any]


PER_SITE = "per_site"


@dataclass(frozen=True)
class SearchedKnob:
    """A knob that is searched; `values` are what its options stand for, empty of a range."""

    name: str
    domain: Domain
    values: tuple[Any, ...] = ()

    def ask(self, chooser: Chooser, name: str) -> Any:
        """Return the value that a chooser answers for the knob under a name."""
        answer = ask_domain(chooser, name, self.domain)
        return self.values[self.domain.texts.index(str(answer))] if isinstance(self.domain, Options) else answer


def list_searched_knobs(method: str, option: Mapping[str, Any]) -> list[SearchedKnob]:
    """Return the knobs of a method that are searched.

    Args:
        method: its whole name.
        option: its YAML, with what it takes in.

    Raises:
        UserError: a knob that the method does not have, or values that the knob does not take.
    """
    searched = option["_search_"]
    if not isinstance(searched, Mapping):
        raise UserError(f"{method}: its _search_ is {searched!r}, expected knobs, each with values or a range")
    step = method.rpartition("/")[2]
    try:
        return [_build_knob(step, name, choice, option) for name, choice in searched.items() if name != PER_SITE]
    except UserError as error:
        raise UserError(f"{method}: its _search_: {error}") from None


def find_knob_per_site(method: str, option: Mapping[str, Any]) -> str | None:
    """Return the searched knob whose values may be chosen apart for some weights, None where there is none.

    Raises:
        UserError: `per_site` of `_search_` names no searched knob.
    """
    searched = option["_search_"]
    knob: str | None = searched.get(PER_SITE)
    if knob is not None and knob not in searched:
        raise UserError(f"{method}: its _search_: per_site={knob}: expected a knob that is searched")
    return knob


def _build_knob(step: str, name: str, choice: Any, option: Mapping[str, Any]) -> SearchedKnob:
    key = f"compression.{step}.{name}"
    rule = find_key_rule(key, {"compression": {step: option}})
    if isinstance(choice, list):
        values = tuple(check_value(value, rule, key) for value in choice)
        return SearchedKnob(name, Options(tuple(map(format_override_value, values))), values)
    override = Override(f"{key}={choice}")
    return SearchedKnob(name, build_number_axis(override, parse_number_sweep(str(choice)), [rule]).domain)
