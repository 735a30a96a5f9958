"""The space of keys of a point: which of them a trial is asked for, and what the answers override."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.compose.single_point import has_step, select_group_choices
from convarium.config.budget import find_decided_knob
from convarium.config.override import Override
from convarium.config.search_path import list_config_groups
from convarium.errors import UserError
from convarium.search.choosers import Chooser, ask_domain
from convarium.search.space import Domain, Options
from convarium.search.typed_axes import Axis

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer


class TypedSpace:
    """The axes of a command line: group choices are asked for first, knobs only where their method was chosen.

    A knob is not asked for in trials in which a budget decides it.
    """

    def __init__(self, composer: "Composer", axes: Iterable[Axis], fixed: Sequence[Override]) -> None:
        self.composer = composer
        self.axes = tuple(sorted(axes, key=_get_rank))
        self.fixed = tuple(fixed)
        keys = [axis.key for axis in self.axes] + [override.key for override in self.fixed]
        self._has_budgets = any(Override(key).group == "budget" for key in keys)

    def names(self) -> Mapping[str, Domain]:
        """Return the keys that are searched, group choices first."""
        return {axis.key: axis.domain for axis in self.axes}

    def choose(self, chooser: Chooser, chosen: Sequence[Override] = ()) -> tuple[Override, ...]:
        """Return an override for each axis that the choices so far leave open."""
        overrides: list[Override] = []
        for axis in self.axes:
            if axis.method is None or self.is_asked(axis, (*self.fixed, *chosen, *overrides)):
                overrides.append(axis.build_override(ask_domain(chooser, axis.key, axis.domain)))
        return tuple(overrides)

    def is_asked(self, knob: Axis, overrides: Sequence[Override]) -> bool:
        """Whether a trial of these overrides has the method of a knob, and no budget decides it."""
        return has_step(self.composer, overrides, knob.method or "") and knob.key != self.find_decided_knob(overrides)

    def list_compressions(self) -> frozenset[str]:
        """Return the options of `compression`, none where it is not searched."""
        domains = [axis.domain for axis in self.axes if axis.key == "compression"]
        return frozenset(text for domain in domains if isinstance(domain, Options) for text in domain.texts)

    def to_json(self) -> Any:
        """Return what a search's signature hashes."""
        return {"typed": {f"{axis.prefix}{axis.key}": axis.domain.to_json() for axis in self.axes}}

    def find_decided_knob(self, overrides: Sequence[Override]) -> str | None:
        """Return the key of the knob that the budget of a trial decides; None for none."""
        if not self._has_budgets:
            return None
        try:
            default = self.composer.compose_groups(select_group_choices(overrides))
        except UserError:
            return None  # the trial itself is refused, with the reason
        typed = {o.key.partition(".")[2]: self.composer.parse(o).value() for o in overrides if is_budget_key(o.key)}
        return find_decided_knob(default["compression"] or {}, {**default["budget"], **typed})


def is_budget_key(key: str) -> bool:
    """Whether a key sets what the network may cost."""
    return key.startswith("budget.")


def _get_rank(axis: Axis) -> int:
    """Return the place of an axis in the order of questions: what decides whether others are asked comes first."""
    if axis.key in list_config_groups():
        return 0
    if is_budget_key(axis.key):
        return 1
    return 2 if axis.method is None else 3
