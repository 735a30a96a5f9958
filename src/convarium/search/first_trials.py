"""Points that a search tries before any other: `search.first=[["recipe.lr=0.1","recipe=adamw"],["recipe.lr=0.05"]]`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convarium.compose.option_names import resolve_option
from convarium.config.messages import suggest_nearest
from convarium.config.override import Override
from convarium.config.search_path import list_config_groups
from convarium.errors import UserError
from convarium.search.space import Options, SearchSpace, Value

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer

Answers = dict[str, Value]


def parse_first_trials(composer: "Composer", space: SearchSpace, first: Sequence[Any]) -> tuple[Answers, ...]:
    """Return the answers of each first trial, by name; what it leaves open is asked for as in any other.

    Raises:
        UserError: no list of lists of overrides, or one that sets what is not searched or is not in its range.
    """
    if not all(isinstance(overrides, list) for overrides in first):
        raise UserError("search.first: expected a list of points, each a list of overrides: [['recipe.lr=0.1']]")
    return tuple(dict(_parse_answer(composer, space, str(text)) for text in overrides) for overrides in first)


def _parse_answer(composer: "Composer", space: SearchSpace, text: str) -> tuple[str, Value]:
    override, names = Override(text), space.names()
    if override.key not in names:
        raise UserError(f"search.first: {text}: {override.key} is not searched{suggest_nearest(override.key, names)}")
    domain = names[override.key]
    is_group = override.key in list_config_groups()
    resolve = (lambda value: resolve_option(override.key, value)) if is_group else None
    alternatives = composer.expand_override(override, resolve)
    value: Any = alternatives[0].value if isinstance(domain, Options) else composer.parse(alternatives[0]).value()
    if len(alternatives) > 1 or not domain.contains(value):
        raise UserError(f"search.first: {text} is none of the values that are searched")
    return override.key, value
