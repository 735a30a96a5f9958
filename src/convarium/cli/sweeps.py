"""Saved command lines: sweeps/NAME.yaml, the user's first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.config.checker import closed
from convarium.config.places import file, files, folders, full_name, text
from convarium.config.schema import Sweep
from convarium.errors import UserError


@dataclass(frozen=True)
class Saved:
    """The lines a command stands for; without a sweep, one empty line that the typed overrides complete."""

    name: str | None
    grids: tuple[tuple[str, ...], ...]
    skip_invalid: bool
    controls: bool = False


def saved(names: list[str]) -> Saved:
    """Return the sweep that was asked for by `sweep=NAME`.

    Raises:
        UserError: two different sweeps, no such sweep, or a file that is none.
    """
    if not names:
        return Saved(None, ((),), False)
    if len(set(names)) > 1 or "," in names[0]:
        raise UserError(f"sweep={','.join(names)}: one sweep at a time; put both sets of grids into one file")
    name = full_name("sweep", names[0], known())
    path, sweep = read(name)
    return Saved(name, tuple(_grid(grid, path) for grid in sweep["grids"]), sweep["skip_invalid"], sweep["controls"])


def known() -> list[str]:
    """Return the names of all sweeps."""
    return sorted({name for folder in folders("sweeps") for name in files(folder)})


def read(name: str) -> tuple[Path, dict[str, Any]]:
    """Return a sweep's file and what it says, by its whole name.

    Raises:
        UserError: the file is none.
    """
    path = file("sweeps", name)
    assert path is not None, "it is one of the known"
    return path, closed(_read(path), Sweep, str(path))


def _read(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise UserError(f"{path}{line}: no YAML: {reason}") from None


def _grid(grid: Any, path: Path) -> tuple[str, ...]:
    lines = grid if isinstance(grid, list) else [grid]
    for line in lines:
        if not isinstance(line, str) or "=" not in line:
            raise UserError(
                f"{path}: {line!r} in grids is not an override; write 'key=value' (quoted if it has a colon)"
            )
        if line.startswith("sweep="):
            raise UserError(f"{path}: {line} in grids: a sweep can't hold another")
    return tuple(lines)
