"""Random schedules: how many hold what must hold, and how soon known mistakes are found.

    python benchmarks/schedules.py [--schedules 200000] [--first 0] [--mutations 2000]   # by default 2,000 and 100

Each schedule is a seed: workers of two hosts, controllers of an open run, or processes that share a room are steps of
one process over a real folder, with crashes, stalls, slow calls, lost replies and old views (`tests/random_schedules/`;
the suite runs the first 2,000). A schedule that breaks what must hold is printed and ends the run. Then each known
mistake is put into the code, and schedules run until one breaks, at most as many as `--mutations` says (0: none).
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

sys.path.pop(0)  # benchmarks, whose store.py hides tests/store
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from random_schedules.fake_controllers import run_controller_schedule  # type: ignore[import-not-found]
from random_schedules.fake_room import run_room_schedule  # type: ignore[import-not-found]
from random_schedules.fake_workers import run_worker_schedule  # type: ignore[import-not-found]
from random_schedules.mutations import CONTROLLER_MUTATIONS, ROOM_MUTATIONS, WORKER_MUTATIONS  # type: ignore[import-not-found]
from random_schedules.scheduler import BrokenInvariant  # type: ignore[import-not-found]

ScheduleRunner = Callable[[int, Path], None]
# The kinds, and of five schedules how many are of each.
KINDS: dict[str, tuple[ScheduleRunner, int]] = {
    "workers": (run_worker_schedule, 3),
    "controllers": (run_controller_schedule, 1),
    "room": (run_room_schedule, 1),
}


def main() -> None:
    """Print how many schedules of each kind hold, and a table of mistakes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=2_000)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--mutations", type=int, default=100)
    options = parser.parse_args()
    for kind in options.kinds:
        run, share = KINDS[kind]
        start, count = time.process_time(), options.schedules * share // 5
        broken = find_broken_schedule(run, options.first, options.first + count)
        if broken:
            raise SystemExit(f"{kind}: {broken}")
        print(
            f"{kind}: {count:,} schedules from {options.first:,} hold, {time.process_time() - start:.0f} s", flush=True
        )
    if options.mutations:
        print("| mistake | found by schedule | what it broke |\n|---|---|---|")
        print_mutations(WORKER_MUTATIONS, run_worker_schedule, options.mutations)
        print_mutations(CONTROLLER_MUTATIONS, run_controller_schedule, options.mutations)
        print_mutations(ROOM_MUTATIONS, run_room_schedule, options.mutations)


def print_mutations(mutations: tuple[Any, ...], run: ScheduleRunner, limit: int) -> None:
    """Print for each mistake which schedule found it."""
    for mutation in mutations:
        with mutation.apply():
            broken = find_broken_schedule(run, 0, limit)
        number, _, found = (broken or f"none of {limit:,}:").splitlines()[0].partition(":")
        print(f"| {mutation.told} | {number.removeprefix('schedule ')} |{shorten_paths(found)} |", flush=True)


def shorten_paths(text: str) -> str:
    """Return a text with the name of a result's stage in place of its folder's path."""
    return re.sub(r"/\S*/(\w+)-[0-9a-f]{12}", r"\1", text)


def find_broken_schedule(run: ScheduleRunner, first: int, end: int) -> str | None:
    """Run schedules until one breaks what must hold; return what it says."""
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, end):
            root = Path(folder, str(seed))
            try:
                run(seed, root)
            except BrokenInvariant as broken:
                return str(broken)
            rmtree(root)
    return None


if __name__ == "__main__":
    main()
