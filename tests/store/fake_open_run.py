"""`python -m store.fake_open_run STORE JOURNAL [STAGES EPOCHS WORKERS]`: control an open run of fake stages.

It adds one stage after another, and goes on where another controller was killed.
"""

import sys
import time
from pathlib import Path
from typing import Any

from convarium.planning.plan import Node
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.local_backend import LocalBackend
from convarium.workers.open_run import OpenRun, OpenRunSettings
from convarium.workers.run_owner import RunOwner, take_owner
from store.fake_run import make_fake_node, make_fake_plan

SETTINGS = OpenRunSettings(workers=2)


def begin_open_run(root: Path, settings: OpenRunSettings = SETTINGS) -> tuple[RunOwner, OpenRun]:
    """Take the owner `searches/one` of a store, waiting for it, and begin its run or take it over."""
    store = Store(root)
    store.prepare()
    owner = wait_for_owner(root)
    return owner, OpenRun.begin_or_attach(owner, store, settings, LocalBackend)


def wait_for_owner(root: Path) -> RunOwner:
    """Take the owner `searches/one`, as soon as no other controller has it."""
    folder = root.resolve() / "searches" / "one"
    folder.mkdir(parents=True, exist_ok=True)
    leases = LeaseManager("")
    while (owner := take_owner(root.resolve(), folder, leases)) is None:
        time.sleep(0.05)
    return owner


def grow(open_run: OpenRun, nodes: list[Node], in_flight: int) -> None:
    """Have all nodes made, of which the plan holds so many at once."""
    done: set[str] = set()
    while True:
        wanted = [node for node in nodes if node.signature not in done][:in_flight]
        if not wanted:
            return
        open_run.change_plan(make_fake_plan(*wanted))
        while not (newly_done := open_run.look().done - done):
            open_run.wait()
        done |= newly_done


def make_growing_nodes(journal: Path | None, count: int = 12, epochs: int = 3) -> list[Node]:
    """Stages of some epochs."""
    knobs: dict[str, Any] = {"journal": journal, "seconds": 0.1, "epochs": epochs}
    return [make_fake_node(f"n{index}", **knobs) for index in range(count)]


def main() -> None:
    """Have all stages made; go on where another controller was killed."""
    stages, epochs, workers = map(int, sys.argv[3:] or (12, 3, 2))
    owner, open_run = begin_open_run(Path(sys.argv[1]), OpenRunSettings(workers))
    grow(open_run, make_growing_nodes(Path(sys.argv[2]), stages, epochs), in_flight=workers + 1)
    open_run.end()
    owner.release()


if __name__ == "__main__":
    main()
