"""Any sampler by its import path, such as `optuna.samplers:CmaEsSampler`."""

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from inspect import isabstract, signature
from math import prod
from typing import Any

from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    CmaEsSampler,
    GridSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from convarium.config.messages import suggest_nearest
from convarium.errors import UserError
from convarium.lookup import find_by_name, is_outside_name
from convarium.search.needs import Need
from convarium.search.strategy import Names, Strategy

ASK_ACTIVE_NAMES = (TPESampler, RandomSampler, GridSampler, BruteForceSampler)
LEARN_NO_VALUES = (RandomSampler, GridSampler, BruteForceSampler, QMCSampler)
MAX_GRID_POINTS = 100_000  # Optuna lists them anew for each trial
WHERE = "search.strategy"


def optuna(sampler: str, knobs: Mapping[str, Any]) -> Strategy:
    """Return the strategy of a sampler.

    Args:
        sampler: its import path, "package.module:Class".
        knobs: arguments of the class.

    Raises:
        UserError: there is no such sampler, it lacks a package, or does not take the knobs.
    """
    kind = _find_class(sampler)
    if issubclass(kind, CmaEsSampler) and find_spec("cmaes") is None:
        raise UserError(f"{WHERE}.sampler={sampler} needs the package cmaes: pip install cmaes")
    for key in ("seed", "constraints_func"):
        if key in knobs:
            raise UserError(f"{WHERE}.knobs.{key}: the search sets it (search.seed, search.constraints)")
    if not issubclass(kind, GridSampler):
        _build(kind, knobs, 0, {})
    return Strategy(
        partial(_build, kind, knobs),
        asks_all_names=not issubclass(kind, ASK_ACTIVE_NAMES),
        learns_from_complete_only=not issubclass(kind, (TPESampler, *LEARN_NO_VALUES)),
        keeps_seed=issubclass(kind, GridSampler | QMCSampler),
        loads_pickles=issubclass(kind, CmaEsSampler),
        needs=frozenset(_list_needs(kind)),
    )


def _find_class(sampler: str) -> type[BaseSampler]:
    if not is_outside_name(sampler):
        raise UserError(f"{WHERE}.sampler={sampler}, expected an import path such as optuna.samplers:QMCSampler")
    try:
        kind = find_by_name(f"{WHERE}.sampler", sampler)
    except UserError as error:
        hint = _suggest_sampler(sampler)
        raise UserError(f"{error}{hint}") from None
    except ImportError as error:
        raise UserError(f"{WHERE}.sampler={sampler} can't be imported: {error}") from None
    if not (isinstance(kind, type) and issubclass(kind, BaseSampler)) or isabstract(kind):
        raise UserError(f"{WHERE}.sampler={sampler} is no sampler of Optuna that can be used by itself")
    return kind


def _suggest_sampler(sampler: str) -> str:
    module, _, name = sampler.partition(":")
    if module != "optuna.samplers":
        return ""
    from optuna import samplers

    return suggest_nearest(name, [known for known in samplers.__all__ if known.endswith("Sampler")])


def _build(kind: type[BaseSampler], knobs: Mapping[str, Any], seed: int, names: Names) -> BaseSampler:
    own_arguments: dict[str, Any] = {}
    if "seed" in signature(kind).parameters:
        own_arguments["seed"] = seed
    if issubclass(kind, GridSampler) and "search_space" not in knobs:
        own_arguments["search_space"] = _list_grid(names)
    try:
        return kind(**knobs, **own_arguments)
    except (TypeError, ValueError, AttributeError, ImportError) as error:
        raise UserError(f"{WHERE}.knobs: {kind.__name__} does not take them: {error}") from None


def _list_grid(names: Names) -> dict[str, list[Any]]:
    point_count = prod(domain.count or 1 for domain in names.values())
    if point_count > MAX_GRID_POINTS:
        raise UserError(
            f"{WHERE}: GridSampler lists all {point_count:,} points for each trial, of which it can do"
            f" {MAX_GRID_POINTS:,}; take optuna.samplers:BruteForceSampler or search/strategy=random"
        )
    return {name: domain.list_values() for name, domain in names.items()}


def _list_needs(kind: type[BaseSampler]) -> list[Need]:
    if issubclass(kind, CmaEsSampler):
        return [Need.ONE_OBJECTIVE]
    return [Need.FINITE_SPACE] if issubclass(kind, GridSampler | BruteForceSampler) else []
