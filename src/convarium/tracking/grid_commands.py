"""Command lines that ask for the points of a plan again."""

import shlex
from collections.abc import Iterable, Mapping, Sequence

from convarium.comparison.report.row_details import RUN_ONLY_KEYS
from convarium.config.override import Override

# The points of one command: all combinations of the values of each key. A key stands with its `=`, where it has one.
Grid = Mapping[str, tuple[str, ...]]


def format_run_commands(points_overrides: Iterable[Sequence[str]]) -> list[str]:
    """Return `convarium run` lines that ask for exactly the points of these overrides, values joined by commas.

    Overrides that say where a run worked (store, workers) are left out.
    """
    grids = [_build_grid(overrides) for overrides in points_overrides]
    keys = dict.fromkeys(key for grid in grids for key in grid)
    # From the last key, so that seeds, which are typed last, are joined before the methods' knobs.
    for key in reversed(keys):
        grids = _merge_grids(grids, key)
    return [_format_command(grid) for grid in grids]


def _build_grid(overrides: Sequence[str]) -> Grid:
    grid: dict[str, tuple[str, ...]] = {}
    for text in overrides:
        if Override(text).group.partition("/")[0] not in RUN_ONLY_KEYS:
            key, equals_sign, value = text.partition("=")
            grid[key + equals_sign] = (value,)
    return grid


def _merge_grids(grids: Iterable[Grid], key: str) -> list[Grid]:
    """Return the grids with those made one that differ in the values of one key only."""
    merged_grids: dict[tuple[object, ...], Grid] = {}
    for grid in grids:
        other_values = tuple((other_key, values) for other_key, values in grid.items() if other_key != key)
        identity = (key in grid, other_values)
        merged_grid = merged_grids.setdefault(identity, grid)
        if key in grid:
            values = dict.fromkeys([*merged_grid[key], *grid[key]])
            merged_grids[identity] = {**merged_grid, key: tuple(values)}
    return list(merged_grids.values())


def _format_command(grid: Grid) -> str:
    overrides = [key + ",".join(values) for key, values in grid.items()]
    return shlex.join(["convarium", "run", *overrides])
