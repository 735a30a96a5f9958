"""The space of a search: the lines and the function of `search/space=NAME`, together with what is typed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from convarium.compose.single_point import drop_idle_knobs, select_group_choices
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.lookup import find_by_name
from convarium.search.choosers import Chooser
from convarium.search.function_space import FunctionSpace
from convarium.search.space import Domain, SearchSpace
from convarium.search.typed_line import build_typed_space
from convarium.search.typed_space import TypedSpace

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer

OWN_KEYS = ("lines", "function", "version")  # of an option of search/space; its other keys are the function's


class SearchLine(NamedTuple):
    """What a search chooses from, what all its trials have in common, and the seeds of each trial."""

    space: SearchSpace
    fixed: tuple[Override, ...]
    seeds: tuple[int, ...]


class CombinedSpace:
    """What a function chooses and what is typed, in every combination."""

    def __init__(self, function_space: FunctionSpace, typed_space: TypedSpace, version: int) -> None:
        self.function_space, self.typed_space, self.version = function_space, typed_space, version

    def names(self) -> Mapping[str, Domain]:
        """Return the function's names, then the keys that are typed."""
        return {**self.function_space.names(), **self.typed_space.names()}

    def choose(self, chooser: Chooser, chosen: Sequence[Override] = ()) -> tuple[Override, ...]:
        """Return the overrides of both; a knob that a typed budget decides is not among them."""
        overrides = self.function_space.choose(chooser, chosen)
        overrides += self.typed_space.choose(chooser, (*chosen, *overrides))
        decided = self.typed_space.find_decided_knob((*self.typed_space.fixed, *chosen, *overrides))
        return tuple(override for override in overrides if override.key != decided)

    def list_compressions(self) -> frozenset[str]:
        """Return those of both."""
        return self.function_space.compressions | self.typed_space.list_compressions()

    def to_json(self) -> Any:
        """Return what a search's signature hashes."""
        return {"version": self.version, **self.function_space.to_json(), **self.typed_space.to_json()}


def build_search_space(composer: "Composer", config: Mapping[str, Any], arguments: Sequence[str]) -> SearchLine:
    """Return what a search chooses from.

    Args:
        config: the checked `search.space`: `lines` that are typed before `arguments`, a `function` by its name in
            `search/spaces` or its import path, its `version`, and all that the function is called with.
        arguments: overrides of points, as they are typed.

    Raises:
        UserError: a line or a function that is none, nothing to search, or a key that both choose.
    """
    typed = build_typed_space(composer, [*_read_lines(config), *arguments], bool(config.get("function")))
    if not config.get("function"):
        return SearchLine(*typed)
    function_space = _build_function_space(composer, config, typed.fixed)
    for key in (*typed.space.names(), *(override.key for override in typed.fixed)):
        if key in function_space.keys:
            raise UserError(f"{key}: search/space={function_space.name} chooses it too; leave one of them out")
    space = CombinedSpace(function_space, typed.space, config["version"])
    return SearchLine(space, typed.fixed, typed.seeds)


def _read_lines(config: Mapping[str, Any]) -> list[str]:
    lines = config.get("lines") or []
    for line in lines:
        if not isinstance(line, str) or "=" not in line:
            raise UserError(f"search.space.lines: {line!r} is not an override; write 'key=value'")
    return list(lines)


def _build_function_space(composer: "Composer", config: Mapping[str, Any], fixed: Sequence[Override]) -> FunctionSpace:
    path = str(config["function"])
    arguments = {key: value for key, value in config.items() if key not in OWN_KEYS}
    used = drop_idle_knobs(composer, fixed)
    groups = select_group_choices(used)
    values = [override for override in used if override not in groups]
    base = composer.compose_with_values(groups, values, must_be_complete=False)  # a search may set what is missing
    try:
        function = find_by_name("search.spaces", path)
    except (UserError, ImportError) as error:
        raise UserError(f"search.space.function={path}: {error}") from None
    return FunctionSpace(path.rpartition(":")[2], function, {"base": base, **arguments})
