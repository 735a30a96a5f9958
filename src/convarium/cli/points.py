"""The one path from arguments to points; run, plan and compare see the same."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli import controls
from convarium.cli.adopted import quoted, resolved
from convarium.cli.options import option
from convarium.cli.references import references
from convarium.cli.sweeps import Saved, saved
from convarium.config import places
from convarium.config.point import KEYS, MOST_POINTS, Point, check
from convarium.config.words import suggestion
from convarium.errors import UserError
from convarium.tracking.address import masked

if TYPE_CHECKING:
    from convarium.cli.hydra import Composer

NO_RESULT = ("runtime", "tracking")


@dataclass(frozen=True)
class Invalid:
    """A point that can't be, and why, in one line."""

    overrides: tuple[str, ...]
    error: str


@dataclass(frozen=True)
class Asked:
    """What a command line asks for."""

    points: tuple[Point, ...]
    invalid: tuple[Invalid, ...]
    sweep: str | None
    skip_invalid: bool
    runtime: dict[str, Any]
    tracking: dict[str, Any]
    launcher: tuple[str, ...]
    chooses: bool
    composer: "Composer" = field(repr=False)
    notes: tuple[str, ...] = ()

    def accepted(self) -> tuple[Point, ...]:
        """Return the points, if the invalid ones may be left out or there are none.

        Raises:
            UserError: an invalid point; of several, each in a line of its own.
        """
        reasons = {one.error for one in self.invalid}
        if len(reasons) == 1 and (not self.points or not self.skip_invalid):
            raise UserError(reasons.pop())
        if self.invalid and not self.skip_invalid:
            lines = "".join(f"\n  {' '.join(one.overrides)}: {one.error}" for one in self.invalid)
            total = len(self.invalid) + len(self.points)
            raise UserError(f"{len(self.invalid)} of {total} points are invalid, nothing is run:{lines}")
        if not self.points:
            raise UserError("every point of this sweep is invalid; `convarium plan` says why")
        return self.points


def ask(arguments: Sequence[str]) -> Asked:
    """Compose, check and merge the points of a command line (overrides, `sweep=NAME`, Hydra's launcher settings).

    Raises:
        UserError: a mistake that concerns the line, not a single point: grammar, names, a knob that no point uses.
    """
    from convarium.cli.hydra import Composer

    composer = Composer(places.folders("conf"))
    typed, launcher, sweeps = _sorted(arguments)
    sweep = saved(sweeps)
    if launcher:
        composer.launch_config(launcher, Path(), 1)
    found: dict[str, Point] = {}
    invalid: dict[tuple[str, ...], Invalid] = {}
    unused: dict[str, bool] = {}
    grids = list(_grids(composer, sweep, typed))
    if (count := sum(prod(map(len, axes)) for axes in grids)) > MOST_POINTS:
        raise UserError(f"this sweep has {count:,} points, at most {MOST_POINTS:,} are taken at once")
    for axes in grids:
        for overrides in _expanded(composer, axes, unused):
            try:
                point = _point(composer, overrides)
                found.setdefault(_identity(point.config), point)
            except UserError as error:
                invalid.setdefault(overrides, Invalid(tuple(map(masked, overrides)), masked(str(error))))
    keys = [composer.alternatives(text)[0] for text in typed] if typed else []
    _all_used(unused, keys)
    settings = _settings(found, composer, typed)
    return Asked(
        points=tuple(_without_password(point) for point in found.values()),
        invalid=tuple(invalid.values()),
        sweep=sweep.name,
        skip_invalid=sweep.skip_invalid,
        runtime=settings["runtime"],
        tracking=settings["tracking"],
        launcher=launcher,
        chooses=bool(sweeps) or any(key.lstrip("+~").split(".")[0] not in NO_RESULT for key in keys),
        composer=composer,
    )


def _sorted(arguments: Sequence[str]) -> tuple[list[str], tuple[str, ...], list[str]]:
    """Split what was typed into overrides of the points, settings of the launcher, and names of sweeps."""
    typed, launcher, sweeps = [], [], []
    for text in arguments:
        key, _, value = text.lstrip("+~").partition("=")
        if key == "sweep":
            sweeps.append(value)
        elif key == "hydra" or key.startswith(("hydra/", "hydra.")):
            if key != "hydra/launcher" and not key.startswith("hydra.launcher."):
                raise UserError(f"{text}: of Hydra's own settings only hydra/launcher and hydra.launcher.… are read")
            launcher.append(text)
        else:
            typed.append(text)
    return typed, tuple(launcher), sweeps


def _grids(composer: "Composer", sweep: Saved, typed: Sequence[str]) -> Iterator[list[list[str]]]:
    """Yield each grid's axes, and those of its controls, for which a typed compression counts as another grid's."""
    for grid in sweep.grids:
        yield _axes(composer, grid, typed)
        if sweep.controls:
            kept = [text for text in typed if not text.startswith("compression=")]
            yield from (_axes(composer, control, ()) for control in controls.grids((*grid, *kept)))


def _axes(composer: "Composer", grid: Sequence[str], typed: Sequence[str]) -> list[list[str]]:
    """Return the alternatives of each key, a grid's first; a key that is typed replaces the grid's in its place."""
    axes: dict[str, list[str]] = {}
    for text in (*grid, *typed):
        key, alternatives = _alternatives(composer, text)
        axes[key.lstrip("+")] = alternatives
    return list(axes.values())


def _alternatives(composer: "Composer", text: str) -> tuple[str, list[str]]:
    head = text.partition("=")[0]
    name = head.lstrip("+~")
    top = name.split(".")[0]
    if name.partition("@")[0] in places.groups():
        if name != head or "@" in name:
            raise UserError(f"{text}: a group is chosen by {name.partition('@')[0]}=NAME")
        composer.parse(text)
        key, alternatives = composer.alternatives(text, lambda value: option(name, value))
    elif top not in KEYS:
        raise UserError(f"{text}: no such group or key{suggestion(top, [*KEYS, 'sweep'])}")
    else:
        key, alternatives = composer.alternatives(quoted(text))
    if top in NO_RESULT and len(alternatives) > 1:
        from convarium.cli.quoting import advice

        one = advice(*text.split("=", 1))
        raise UserError(f"{text}: {top} decides no result and can't be swept; give one value, a comma quoted: {one}")
    return key, alternatives


def _expanded(composer: "Composer", axes: list[list[str]], unused: dict[str, bool]) -> Iterator[tuple[str, ...]]:
    """Yield the overrides of each point, without the knobs of methods it does not have; note which knobs are used."""
    seen = set()
    for combination in itertools.product(*axes):
        methods = _methods(combination)
        kept = []
        for text in combination:
            knob = _knob(text)
            if knob is not None:
                unused.setdefault(text.partition("=")[0], True)
            if knob is None or knob in methods or (methods and _composed_has(composer, combination, knob)):
                kept.append(text)
                unused[text.partition("=")[0]] = False
        if (overrides := tuple(kept)) not in seen:
            seen.add(overrides)
            yield overrides


def _knob(text: str) -> str | None:
    """Return the method whose knob an override sets."""
    parts = text.partition("=")[0].lstrip("+~").split(".")
    return parts[1] if parts[0] == "compression" and len(parts) > 1 else None


def _methods(overrides: Sequence[str]) -> set[str]:
    choice = next((text.partition("=")[2] for text in overrides if text.startswith("compression=")), "none")
    return {name.rpartition("/")[2] for name in choice.strip("[]").split(",")} - {"none"}


def _composed_has(composer: "Composer", overrides: Sequence[str], step: str) -> bool:
    """A file may hold several steps under names of their own."""
    try:
        return step in (composer.compose(_choices(overrides)).get("compression") or {})
    except UserError:
        return True


def _choices(overrides: Sequence[str]) -> tuple[str, ...]:
    groups = places.groups()
    return tuple(sorted(text for text in overrides if text.partition("=")[0] in groups))


def _point(composer: "Composer", overrides: tuple[str, ...]) -> Point:
    try:
        config, default = _checked(composer, overrides)
        others = references(overrides, config, default, lambda texts: _checked(composer, texts)[0])
    except UserError as error:
        raise UserError(places.blamed(str(error), composer.options(_choices(overrides)))) from error
    return Point(overrides, config, others)


def _checked(composer: "Composer", overrides: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a point's config, and the composition of its groups alone."""
    groups = _choices(overrides)
    values = [text for text in overrides if text not in groups]
    default = composer.compose(groups)
    return resolved(check(composer.set(groups, values), default)), default


def _identity(config: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in config.items() if key not in NO_RESULT}, sort_keys=True)


def _all_used(unused: dict[str, bool], typed: Sequence[str]) -> None:
    """Refuse a knob that no point uses, unless it is a sweep's own and another compression was typed."""
    for key, is_unused in unused.items():
        if is_unused and (key in typed or "compression" not in typed):
            methods = [name.rpartition("/")[2] for name in places.options("compression")]
            near = suggestion(key.split(".")[1], methods)
            hint = near if key.split(".")[1] not in methods else f"; add {key.split('.')[1]} to compression=[…]"
            raise UserError(f"{key}: no point uses this method{hint}")


def _settings(found: dict[str, Point], composer: "Composer", typed: Sequence[str]) -> dict[str, Any]:
    """Return the config of any point, as far as it decides no result."""
    if found:
        return next(iter(found.values())).config
    texts = tuple(text for text in typed if text.lstrip("+").split("=")[0].split(".")[0] in NO_RESULT)
    return _point(composer, texts).config


def _without_password(point: Point) -> Point:
    """Return a point as it may be stored and shown: a tracker's address without its password."""
    tracking = {key: masked(value) if value else value for key, value in point.config["tracking"].items()}
    overrides = tuple(masked(text) for text in point.overrides)
    return replace(point, overrides=overrides, config={**point.config, "tracking": tracking})
