"""Saved command lines: sweeps/NAME.yaml, the user's first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.config.checker import check_closed_group
from convarium.config.override import Override
from convarium.config.schema import SweepConfig
from convarium.config.search_path import (
    find_config_file,
    list_config_names,
    list_search_folders,
    read_config_text,
    resolve_full_name,
)
from convarium.errors import UserError


@dataclass(frozen=True)
class SavedSweep:
    """The grids that `sweep=NAME` stands for; without a sweep one empty grid, which the typed overrides fill."""

    name: str | None
    grids: tuple[tuple[Override, ...], ...]
    skip_invalid: bool
    controls: bool = False


def load_sweep(names: list[str]) -> SavedSweep:
    """Return the sweep that was asked for by `sweep=NAME`.

    Raises:
        UserError: two different sweeps, no such sweep, or a file that is not one.
    """
    if not names:
        return SavedSweep(None, ((),), False)
    if len(set(names)) > 1 or "," in names[0]:
        raise UserError(f"sweep={','.join(names)}: one sweep at a time; put both sets of grids into one file")
    name = resolve_full_name("sweep", names[0], list_sweeps())
    path, sweep = read_sweep(name)
    return SavedSweep(
        name, tuple(_parse_grid(grid, path) for grid in sweep["grids"]), sweep["skip_invalid"], sweep["controls"]
    )


def list_sweeps() -> list[str]:
    """Return the names of all sweeps."""
    return sorted({name for folder in list_search_folders("sweeps") for name in list_config_names(folder)})


def read_sweep(name: str) -> tuple[Path, dict[str, Any]]:
    """Return a sweep's file and its checked content, by its whole name.

    Raises:
        UserError: the file is not a sweep.
    """
    path = find_config_file("sweeps", name)
    assert path is not None, "the caller took the name from list_sweeps"
    return path, check_closed_group(_read_yaml(path), SweepConfig, str(path))


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(read_config_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise UserError(f"{path}{line}: no YAML: {reason}") from None


def _parse_grid(grid: Any, path: Path) -> tuple[Override, ...]:
    lines = grid if isinstance(grid, list) else [grid]
    for line in lines:
        if not isinstance(line, str) or "=" not in line:
            raise UserError(
                f"{path}: {line!r} in grids is not an override; write 'key=value' (quoted if it has a colon)"
            )
        if Override(line).key == "sweep":
            raise UserError(f"{path}: {line} in grids: a sweep can't hold another")
    return tuple(map(Override, lines))
