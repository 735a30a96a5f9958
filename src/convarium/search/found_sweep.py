"""What a search found, as a saved sweep: the best points and random ones, with seeds that the search never used."""

import re
from collections.abc import Iterable, Sequence
from itertools import count, islice
from pathlib import Path

import numpy as np
import yaml

from convarium.compose.single_point import drop_idle_knobs
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.planning.validate import validate_points
from convarium.search.choosers import RandomChooser
from convarium.search.search import Search
from convarium.seeds import derive_seed
from convarium.store import disk

FOUND_FOLDER = Path("sweeps/found")
NAME_PATTERN = re.compile(r"[\w][\w.-]*")
SEED_COUNT = 3
RANDOM_POINTS = 8
MAX_DRAWS = 1000


def check_found_name(name: str) -> None:
    """Check that a name can be that of a file.

    Raises:
        UserError: it can't.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise UserError(f"search.save={name}: expected a name of letters, digits, '-', '_' and '.', such as small")


def check_found_file(name: str, signature: str) -> None:
    """Check that the file of a saved sweep is not taken by another search, before anything runs.

    Raises:
        UserError: it is.
    """
    file = FOUND_FOLDER / f"{name}.yaml"
    if file.exists() and signature not in file.read_text(encoding="utf-8"):
        raise _build_taken_error(file)


def write_found_sweep(search: Search, name: str, signature: str, best: Iterable[Sequence[str]]) -> str:
    """Write `./sweeps/found/NAME.yaml`; return how it is named on a command line.

    Args:
        signature: that of the search.
        best: overrides of the best points.

    Raises:
        UserError: there is a file of another content, which stays, or the disk refuses.
    """
    seeds = Override(f"seed={','.join(map(str, list_unused_seeds(search)))}")
    points = [_drop_settings(map(Override, overrides)) for overrides in best]
    random_points = [point for point in draw_random_points(search) if point not in points]
    sweep = {
        "description": f"what the search {signature} found, and random points of its space",
        "expected_time": f"{SEED_COUNT * (len(points) + len(random_points))} points",
        "grids": [[*map(str, point), str(seeds)] for point in (*points, *random_points)],
    }
    file = FOUND_FOLDER / f"{name}.yaml"
    text = yaml.safe_dump(sweep, sort_keys=False, allow_unicode=True, width=120)
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise _build_taken_error(file)
    with disk.translate_write_errors(FOUND_FOLDER.absolute()):
        disk.make_folder(FOUND_FOLDER)
        disk.write_bytes(file, text.encode())
    return f"sweep=found/{name}"


def list_unused_seeds(search: Search) -> list[int]:
    """Return the first seeds that no trial has."""
    return list(islice((seed for seed in count() if seed not in search.seeds), SEED_COUNT))


def draw_random_points(search: Search) -> list[tuple[Override, ...]]:
    """Return the overrides of distinct random points that can be trained; fewer in a space that has no more."""
    generator = np.random.default_rng(derive_seed(search.settings.own.seed, "found"))
    points: list[tuple[Override, ...]] = []
    for _ in range(MAX_DRAWS):
        chosen = search.space.choose(RandomChooser(generator), search.fixed)
        point = _drop_settings(drop_idle_knobs(search.composer, (*search.fixed, *chosen)))
        if point not in points and _can_be_trained(search, point):
            points.append(point)
        if len(points) == RANDOM_POINTS:
            break
    return points


def _build_taken_error(file: Path) -> UserError:
    return UserError(f"{file} holds another sweep; move it away, or choose another name: search.save=NAME")


def _can_be_trained(search: Search, overrides: Sequence[Override]) -> bool:
    try:
        points = search.compose_points(overrides)
    except UserError:
        return False
    return not validate_points(points[:1], tried=search.tried_networks)


def _drop_settings(overrides: Iterable[Override]) -> tuple[Override, ...]:
    """Return overrides without those that decide no result: where it is stored and tracked is told when it is run."""
    return tuple(override for override in overrides if override.group not in ("runtime", "tracking"))
