"""The one path from arguments to points, which run, plan and compare share."""

import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.compose import control_grids
from convarium.compose.adopted_weights import (
    find_adopted_signatures,
    list_adopted_architecture,
    quote_signatures,
)
from convarium.compose.option_names import resolve_option
from convarium.compose.single_point import compose_point, drop_idle_knobs, mask_password, mask_texts
from convarium.compose.sweeps import SavedSweep, load_sweep
from convarium.config import search_path
from convarium.config.messages import suggest_nearest
from convarium.config.override import Override
from convarium.config.point import MAX_POINTS, POINT_KEYS, Point
from convarium.config.suggestions import suggest_key
from convarium.errors import UserError
from convarium.planning.host_check import check_hardware_named
from convarium.tracking.tracker_address import mask_passwords

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer

NON_RESULT_GROUPS = ("runtime", "tracking")


@dataclass(frozen=True)
class InvalidPoint:
    """A point that can't be composed, and why, in one line."""

    overrides: tuple[Override, ...]
    error: str


@dataclass(frozen=True)
class PointRequest:
    """What a command line asks for.

    Attributes:
        points: the valid ones, each config once.
        skip_invalid: whether the sweep lets invalid points be left out.
        runtime: of all points: it decides no result and can't be swept.
        tracking: likewise.
        selects_points: whether anything was typed that chooses points, not only where they are stored or tracked.
    """

    points: tuple[Point, ...]
    invalid: tuple[InvalidPoint, ...]
    sweep: str | None
    skip_invalid: bool
    runtime: dict[str, Any]
    tracking: dict[str, Any]
    launcher_overrides: tuple[Override, ...]
    selects_points: bool
    composer: "Composer" = field(repr=False)
    notes: tuple[str, ...] = ()

    def check_points(self) -> tuple[Point, ...]:
        """Return the points, if the invalid ones may be left out or there are none.

        Raises:
            UserError: an invalid point; of several, each in a line of its own.
        """
        reasons = {point.error for point in self.invalid}
        if len(reasons) == 1 and (not self.points or not self.skip_invalid):
            raise UserError(reasons.pop())
        if self.invalid and not self.skip_invalid:
            total = len(self.invalid) + len(self.points)
            are = "is" if len(self.invalid) == 1 else "are"
            lines = [f"{len(self.invalid)} of {total} points {are} invalid, nothing is run:"]
            lines += [f"  {' '.join(point.overrides)}: {point.error}" for point in self.invalid]
            raise UserError("\n".join(lines))
        if not self.points:
            raise UserError("every point of this sweep is invalid; `convarium plan` says why")
        return self.points


def compose_points(arguments: Sequence[str]) -> PointRequest:
    """Compose, check and merge the points of a command line (overrides, `sweep=NAME`, Hydra's launcher settings).

    Raises:
        UserError: a mistake that concerns the line, not a single point: grammar, names, a knob that no point uses, a
            launcher of other hosts without names of their hardware.
    """
    from convarium.compose.hydra_adapter import Composer
    from convarium.compose.hydra_launcher import compose_launcher_config

    composer = Composer(search_path.list_search_folders("conf"))
    typed, launcher, sweep_names = split_arguments([Override(text) for text in arguments])
    sweep = load_sweep(sweep_names)
    if launcher:
        # A mistake in the launcher's settings is said now, not when all points are planned.
        compose_launcher_config(composer.loader, launcher, Path(), 1)
    points: dict[str, Point] = {}
    invalid: dict[tuple[Override, ...], InvalidPoint] = {}
    unused: dict[str, bool] = {}
    grids = [add_adopted_architecture(composer, axes, typed) for axes in _iterate_grids(composer, sweep, typed)]
    if (count := sum(prod(map(len, axes)) for axes in grids)) > MAX_POINTS:
        raise UserError(f"this sweep has {count:,} points, at most {MAX_POINTS:,} are taken at once")
    for axes in grids:
        for overrides in _iterate_point_overrides(composer, axes, unused):
            try:
                point = compose_point(composer, overrides)
                points.setdefault(_serialise_result_config(point.config), point)
            except UserError as error:
                invalid.setdefault(overrides, InvalidPoint(mask_texts(overrides), mask_passwords(str(error))))
    _check_knobs_used(unused, {override.key for override in typed})
    check_hardware_named([point.config for point in points.values()], launcher)
    settings = find_settings(points, composer, typed)
    return PointRequest(
        points=tuple(mask_password(point) for point in points.values()),
        invalid=tuple(invalid.values()),
        sweep=sweep.name,
        skip_invalid=sweep.skip_invalid,
        runtime=settings["runtime"],
        tracking=settings["tracking"],
        launcher_overrides=launcher,
        selects_points=bool(sweep_names) or any(override.group not in NON_RESULT_GROUPS for override in typed),
        composer=composer,
    )


def split_arguments(
    arguments: Sequence[Override],
) -> tuple[list[Override], tuple[Override, ...], list[str]]:
    """Split what was typed into overrides of the points, settings of the launcher, and names of sweeps."""
    typed, launcher, sweep_names = [], [], []
    for override in arguments:
        if override.key == "sweep":
            sweep_names.append(override.value)
        elif override.group == "hydra" or override.key.startswith("hydra/"):
            if override.key != "hydra/launcher" and not override.key.startswith("hydra.launcher."):
                hint = "; `convarium search` chooses points" if "sweeper" in override.key else ""
                raise UserError(
                    f"{override}: of Hydra's own settings only hydra/launcher and hydra.launcher.… are read{hint}"
                )
            launcher.append(override)
        else:
            typed.append(override)
    return typed, tuple(launcher), sweep_names


def _iterate_grids(
    composer: "Composer", sweep: SavedSweep, typed: Sequence[Override]
) -> Iterator[list[list[Override]]]:
    """Yield the axes of each grid and of its controls; a compression that is typed replaces no control."""
    for grid in sweep.grids:
        yield _collect_axes(composer, grid, typed)
        if sweep.controls:
            others = [override for override in typed if override.key != "compression"]
            for control_grid in control_grids.build_control_grids((*grid, *others)):
                yield _collect_axes(composer, control_grid, ())


def _collect_axes(composer: "Composer", grid: Sequence[Override], typed: Sequence[Override]) -> list[list[Override]]:
    """Return the alternatives of each key, a grid's first; a key that is typed replaces the grid's in its place."""
    axes: dict[str, list[Override]] = {}
    for override in (*grid, *typed):
        alternatives = expand_axis(composer, override)
        # A deletion is an axis of its own: it replaces no value, it takes it away.
        axis = f"~{override.key}" if override.prefix == "~" else override.key
        axes[axis] = alternatives
    return list(axes.values())


def add_adopted_architecture(
    composer: "Composer", axes: list[list[Override]], typed: Sequence[Override]
) -> list[list[Override]]:
    """Return the axes with the architecture of adopted weights, where none is chosen."""
    overrides = [override for axis in axes for override in axis]
    signatures = find_adopted_signatures(overrides)
    keys = {override.key for override in overrides}
    if not signatures or "architecture" in keys:
        return axes
    runtime = find_settings({}, composer, typed)["runtime"]
    architecture = list_adopted_architecture(runtime, signatures)
    return [*([override] for override in architecture if override.key not in keys), *axes]


def expand_axis(composer: "Composer", override: Override) -> list[Override]:
    """Return an override for each value that one sweeps over, with whole names of options."""
    group, at_package, _ = override.key.partition("@")
    if group in search_path.list_config_groups():
        if override.prefix or at_package:
            raise UserError(f"{override}: a group is chosen by {group}=NAME")
        alternatives = composer.expand_override(override, lambda value: resolve_option(group, value))
    elif override.group not in POINT_KEYS:
        meant = suggest_key(override.group.partition("/")[0], override.value)
        hint = meant or suggest_nearest(override.group, [*POINT_KEYS, "sweep"])
        raise UserError(f"{override}: no such group or key{hint}")
    else:
        alternatives = composer.expand_override(quote_signatures(override))
    if override.group in NON_RESULT_GROUPS and len(alternatives) > 1:
        from convarium.compose.override_quoting import format_quoted_override

        quoted = format_quoted_override(override.key, override.value)
        raise UserError(
            f"{override}: {override.group} decides no result and can't be swept; give one value, a comma quoted:"
            f" {quoted}"
        )
    return alternatives


def _iterate_point_overrides(
    composer: "Composer", axes: list[list[Override]], unused: dict[str, bool]
) -> Iterator[tuple[Override, ...]]:
    """Yield the overrides of each point, without the knobs of methods that it does not have.

    `unused` gets each knob's key, with False as soon as a point uses it.
    """
    seen = set()
    for combination in itertools.product(*axes):
        overrides = drop_idle_knobs(composer, combination)
        for override in combination:
            if override.method is not None:
                unused.setdefault(override.key, True)
        unused.update((override.key, False) for override in overrides)
        if overrides not in seen:
            seen.add(overrides)
            yield overrides


def _serialise_result_config(config: dict[str, Any]) -> str:
    """Return what decides a point's results, as text: points of the same text are one."""
    result_config = {key: value for key, value in config.items() if key not in NON_RESULT_GROUPS}
    return json.dumps(result_config, sort_keys=True)


def _check_knobs_used(unused: dict[str, bool], typed_keys: Collection[str]) -> None:
    """Refuse a knob that no point uses, unless it is a sweep's own and another compression was typed."""
    for key, is_unused in unused.items():
        if is_unused and (key in typed_keys or "compression" not in typed_keys):
            raise UserError(f"{key}: no point uses this method{suggest_method(key.split('.')[1])}")


def suggest_method(name: str) -> str:
    """Return how a method gets into the chain, or the method that was most likely meant."""
    methods = [option.rpartition("/")[2] for option in search_path.list_group_options("compression")]
    return f"; add {name} to compression=[…]" if name in methods else suggest_nearest(name, methods)


def find_settings(points: dict[str, Point], composer: "Composer", typed: Sequence[Override]) -> dict[str, Any]:
    """Return the config of any point, as far as it decides no result."""
    if points:
        return next(iter(points.values())).config
    overrides = tuple(override for override in typed if override.group in NON_RESULT_GROUPS)
    return compose_point(composer, overrides).config
