"""One point: the overrides of a single alternative of each axis become a checked config."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convarium.compose.adopted_weights import resolve_adopted_weights
from convarium.compose.step_references import find_references
from convarium.config import search_path
from convarium.config.override import Override
from convarium.config.point import Point, check_config
from convarium.errors import UserError
from convarium.tracking.tracker_address import mask_passwords

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer


def compose_single_point(composer: "Composer", overrides: Sequence[Override]) -> Point:
    """Return the point of overrides with one value each; knobs of methods that it does not have are left out.

    Raises:
        UserError: the first mistake, in one line.
    """
    return mask_password(compose_point(composer, drop_idle_knobs(composer, overrides)))


def drop_idle_knobs(composer: "Composer", overrides: Sequence[Override]) -> tuple[Override, ...]:
    """Return overrides without the knobs of methods that a point does not have."""
    return tuple(
        override for override in overrides if not override.method or has_step(composer, overrides, override.method)
    )


def has_step(composer: "Composer", overrides: Sequence[Override], name: str) -> bool:
    """Whether the chosen compression has a step of this name."""
    methods = list_chosen_methods(overrides)
    return name in methods or (bool(methods) and _has_composed_step(composer, overrides, name))


def list_chosen_methods(overrides: Sequence[Override]) -> set[str]:
    """Return the last parts of the names in the compression list."""
    choice = next((override.value for override in overrides if override.key == "compression"), "none")
    return {name.rpartition("/")[2] for name in choice.strip("[]").split(",")} - {"none"}


def _has_composed_step(composer: "Composer", overrides: Sequence[Override], step: str) -> bool:
    """Whether a chosen option of compression composes to a step of this name."""
    # A file may hold several steps under names of their own. One that can't be composed fails later, with its reason.
    try:
        steps = composer.compose_groups(select_group_choices(overrides)).get("compression")
    except UserError:
        return True
    return step in (steps or {})


def select_group_choices(overrides: Sequence[Override]) -> tuple[Override, ...]:
    """Return the overrides that choose an option of a group, sorted."""
    groups = search_path.list_config_groups()
    return tuple(sorted(override for override in overrides if override.key in groups))


def compose_point(composer: "Composer", overrides: tuple[Override, ...]) -> Point:
    """Return the point of exactly these overrides.

    Raises:
        UserError: the first mistake, in one line.
    """
    try:
        config, default = _compose_config(composer, overrides)
        references = find_references(overrides, config, default, lambda others: _compose_config(composer, others)[0])
    except UserError as error:
        options = composer.get_chosen_options(select_group_choices(overrides))
        raise UserError(search_path.add_shadowing_hint(str(error), options)) from error
    return Point(overrides, config, references)


def _compose_config(composer: "Composer", overrides: tuple[Override, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a point's config, and the composition of its groups alone."""
    groups = select_group_choices(overrides)
    values = [override for override in overrides if override not in groups]
    default = composer.compose_groups(groups)
    config = check_config(composer.compose_with_values(groups, values), default)
    return resolve_adopted_weights(config), default


def mask_password(point: Point) -> Point:
    """Return a point as it may be stored and shown: a tracker's address without its password."""
    tracking = dict(point.config["tracking"])
    for key, value in tracking.items():
        tracking[key] = mask_passwords(value) if value else value
    return replace(point, overrides=mask_texts(point.overrides), config={**point.config, "tracking": tracking})


def mask_texts(overrides: Iterable[Override]) -> tuple[Override, ...]:
    """Return overrides as they may be shown: addresses without their passwords."""
    return tuple(Override(mask_passwords(override)) for override in overrides)
