"""What a command line types for a search: axes that sweep are searched, single values are fixed, seeds stand apart.

`convarium run` takes the same line as a grid. Intervals, and ranges as ordered numbers, are added here.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from convarium.compose.option_names import resolve_option
from convarium.compose.points import add_adopted_architecture, expand_axis, suggest_method
from convarium.compose.single_point import has_step, list_chosen_methods
from convarium.config.key_rules import find_key_rule
from convarium.config.override import Override
from convarium.config.point import SEED_RULE
from convarium.config.rules import Rule, check_value
from convarium.config.schema import CLOSED_GROUPS
from convarium.config.search_path import list_config_groups
from convarium.errors import UserError
from convarium.search.space import Options
from convarium.search.typed_axes import Axis, build_choice_axis, build_number_axis
from convarium.search.typed_space import TypedSpace, is_budget_key

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer

NOTHING_TO_SEARCH = (
    "nothing to search: give a key several values (recipe=sgd_cosine,adamw)"
    " or a range (recipe.lr=tag(log,interval(0.001,0.3)))"
)
NOT_COMPARABLE = "can't be searched, trials would not be comparable"
DECIDES_NOTHING = "can't be searched, it decides no result"
UNSEARCHABLE_GROUPS = {
    "dataset": NOT_COMPARABLE,
    "task": NOT_COMPARABLE,
    "measurement": NOT_COMPARABLE,
    "runtime": DECIDES_NOTHING,
    "tracking": DECIDES_NOTHING,
}


class TypedLine(NamedTuple):
    """What a command line asks for.

    Attributes:
        fixed: the overrides of all trials; a knob counts in those trials that have its method.
        seeds: of each trial, whose value is the mean over them.
    """

    space: TypedSpace
    fixed: tuple[Override, ...]
    seeds: tuple[int, ...]


def build_typed_space(composer: "Composer", arguments: Sequence[str], searches_elsewhere: bool = False) -> TypedLine:
    """Return what a command line's overrides search and fix. Of two overrides of a key the later one counts.

    Args:
        searches_elsewhere: whether another space is searched too, which may choose the compression: then nothing need
            be searched here, and knobs may be of any method.

    Raises:
        UserError: nothing sweeps, a group that can't be searched, a knob of a method that no choice has or that a
            budget decides, or values that a key does not take.
    """
    typed = {_get_axis_key(override): override for override in map(Override, arguments)}
    seeds = _read_seeds(composer, typed.pop("seed", None))
    line = _ExpandedLine(composer, _expand_overrides(composer, list(typed.values())), searches_elsewhere)
    axes, fixed = [], []
    for override, values in line.alternatives.items():
        axis = line.build_axis(override)
        if axis is None:
            fixed += values
        elif axis.domain.count == 1:
            fixed.append(axis.build_override(axis.domain.get_value_at(0)))
        else:
            axes.append(axis)
    if not axes and not searches_elsewhere:
        raise UserError(NOTHING_TO_SEARCH)
    space = TypedSpace(composer, axes, fixed)
    _check_knobs_asked(space)
    return TypedLine(space, space.fixed, seeds)


def _get_axis_key(override: Override) -> str:
    # A deletion is an axis of its own: it replaces no value, it takes it away.
    return f"~{override.key}" if override.prefix == "~" else override.key


def _read_seeds(composer: "Composer", override: Override | None) -> tuple[int, ...]:
    if override is None:
        return (int(composer.compose_groups(())["seed"]),)
    if (numbers := composer.find_number_sweep(override)) and numbers.step is None:
        raise UserError(f"{override}: a seed is not searched; seed=0,1,2 gives each trial the mean of three")
    values = [composer.parse(alternative).value() for alternative in composer.expand_override(override)]
    return tuple(dict.fromkeys(check_value(value, SEED_RULE, "seed") for value in values))


def _expand_overrides(composer: "Composer", typed: Sequence[Override]) -> dict[Override, list[Override]]:
    """Return the alternatives of each override, none of an interval or a range; first what adopted weights bring."""
    alternatives = {}
    for override in typed:
        numbers = composer.find_number_sweep(override)
        alternatives[override] = [] if numbers else expand_axis(composer, override)
        if len(alternatives[override]) != 1 and override.group in UNSEARCHABLE_GROUPS:
            raise UserError(f"{override}: {override.group} {UNSEARCHABLE_GROUPS[override.group]}; give one value")
    axes = add_adopted_architecture(composer, list(alternatives.values()), typed)
    adopted = axes[: len(axes) - len(alternatives)]
    return {**{values[0]: values for values in adopted}, **alternatives}


@dataclass(frozen=True)
class _ExpandedLine:
    """The alternatives of each override of a line; none of an interval or a range."""

    composer: "Composer"
    alternatives: Mapping[Override, list[Override]]
    searches_elsewhere: bool

    def build_axis(self, override: Override) -> Axis | None:
        """Return the axis that an override sweeps, None of a single value."""
        if numbers := self.composer.find_number_sweep(override):
            if override.key in list_config_groups():
                raise UserError(f"{override}: {override.key} is chosen by name, not by a number")
            return build_number_axis(override, numbers, self._find_rules(override))
        values = self.alternatives[override]
        if len(values) > 1:
            return build_choice_axis(self.composer, override, values, self._find_rules(override))
        if override.method is not None:
            self._find_choice_of_method(override)
        return None

    def _find_rules(self, override: Override) -> list[Rule]:
        """Return the rule of an override's key in each choice that decides it, none where it chooses an option."""
        if override.key in list_config_groups():
            return []
        if override.group in CLOSED_GROUPS:
            return [find_key_rule(override.key, {})]
        if override.method is not None:
            choices = [self._find_choice_of_method(override)]
        else:
            choices = self._list_choices(override.group)
        compositions = [self.composer.compose_groups((choice,)) for choice in choices]
        return [find_key_rule(override.key, default) for default in compositions or [self.composer.compose_groups(())]]

    def _find_choice_of_method(self, knob: Override) -> Override:
        """Return a choice of compression that has a knob's method."""
        method, choices = knob.method or "", self._list_choices("compression")
        # Those that name it before those whose files must be composed to know.
        for choice in sorted(choices, key=lambda choice: method not in list_chosen_methods([choice])):
            if has_step(self.composer, [choice], method):
                return choice
        if self.searches_elsewhere and not choices:
            return Override(f"compression={resolve_option('compression', method)}")
        raise UserError(f"{knob}: no choice has this method{suggest_method(method)}")

    def _list_choices(self, group: str) -> list[Override]:
        return [choice for override, values in self.alternatives.items() if override.key == group for choice in values]


def _check_knobs_asked(space: TypedSpace) -> None:
    """Refuse a knob that a budget decides in every trial that has its method."""
    choices = [axis for axis in space.axes if axis.key == "compression" or is_budget_key(axis.key)]
    if not any(key == "compression" for key in (*space.names(), *(o.key for o in space.fixed))):
        return  # another space chooses it
    if not any(is_budget_key(key) for key in (*(axis.key for axis in choices), *(o.key for o in space.fixed))):
        return
    combinations = list(itertools.product(*map(_list_sample_overrides, choices)))
    for axis in space.axes:
        trials = ((*space.fixed, *combination) for combination in combinations)
        if axis.method is not None and not any(space.is_asked(axis, trial) for trial in trials):
            raise UserError(f"{axis.key}: a budget decides it in every trial; leave one of them out")


def _list_sample_overrides(axis: Axis) -> list[Override]:
    """Return an override for each option of an axis, or for one of its numbers."""
    values = axis.domain.texts if isinstance(axis.domain, Options) else [axis.domain.low]
    return [axis.build_override(value) for value in values]
