"""The plan of an open run: a new pair of files in the run's folder at each change, of which the highest counts.

`plan.<lease>.<count>` is named by the number of its writer's lease and a count. So a controller that slept through its
lease can't put an old plan over that of the controller which took over.
"""

import errno
import re
import time
from collections.abc import Iterator
from pathlib import Path

from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.planning.plan_file import find_points_file, read_plan, read_plan_without_points, write_plan_as
from convarium.store import disk

PLAN_NAME_PATTERN = re.compile(r"plan\.([0-9]+)\.([0-9]+)")
READ_ATTEMPTS = 20
READ_PAUSE_SECONDS = 0.05

Version = tuple[int, int]  # number of the owner's lease, count of the changes under it


def write_open_plan(plan: Plan, folder: Path, version: Version) -> None:
    """Write a plan as the newest of a run, and remove those before the last one: a reader may have just listed that.

    Raises:
        OSError: the disk refuses.
    """
    older_versions = sorted(other for other in _iterate_versions(folder) if other < version)
    write_plan_as(plan, _build_path(folder, version))
    for old_version in older_versions[:-1]:
        file = _build_path(folder, old_version)
        for path in (file, find_points_file(file)):
            path.unlink(missing_ok=True)


def find_newest_version(folder: Path) -> Version | None:
    """Return the highest version of the plan in a run's folder, None if there is none that can be seen."""
    return max(_iterate_versions(folder), default=None)


def read_newest_plan(folder: Path, with_points: bool = False) -> tuple[Version, Plan]:
    """Return the newest plan in a run's folder, and its version.

    Raises:
        UserError: there is none, or it is damaged.
        OSError: it can't be read.
    """
    read = read_plan if with_points else read_plan_without_points
    for _ in range(READ_ATTEMPTS):
        version = find_newest_version(folder)
        if version is None:
            break
        file = _build_path(folder, version)
        try:
            return version, read(file)
        except UserError:
            if file.exists() and find_points_file(file).exists():
                raise
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        # Its writer has removed it since it was listed, or a network disk shows an older view: a newer one is there.
        time.sleep(READ_PAUSE_SECONDS)
    raise UserError(f"{folder}: it holds no plan")


def _iterate_versions(folder: Path) -> Iterator[Version]:
    for path in disk.list_folder(folder):
        match = PLAN_NAME_PATTERN.fullmatch(path.name)
        if match:
            yield int(match[1]), int(match[2])


def _build_path(folder: Path, version: Version) -> Path:
    lease_number, count = version
    return folder / f"plan.{lease_number}.{count}"
