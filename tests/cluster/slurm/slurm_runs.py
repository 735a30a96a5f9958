"""Runs of fake stages whose workers are jobs of a real Slurm."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.workers import controller
from convarium.workers.detached_run import DetachedRun, detach_run
from convarium.workers.progress import build_progress_display
from convarium.workers.ready_nodes import PlanMonitor
from convarium.workers.run_file import Run
from convarium.workers.slurm_backend import SlurmBackend
from store.fake_run import make_fake_node, make_fake_plan

SETTINGS: dict[str, Any] = {"squeue_seconds": 0.5, "timeout_min": 5, "signal_delay_s": 60}


def build_slurm_backend(**settings: Any) -> Callable[[Run], SlurmBackend]:
    """Return what makes the backend of a run, which looks at the queue often."""
    return lambda run: SlurmBackend(run, **(SETTINGS | settings))


def run_on_slurm(plan: Plan, root: Path, workers: int, **settings: Any) -> list[str]:
    """Run a plan; return how its nodes ended."""
    display = build_progress_display(True)
    build = build_slurm_backend(**settings)
    statuses = controller.run_plan(
        plan, Store(root), build, workers, display, idle_minutes=0.05, scheduler=SlurmBackend.scheduler
    )
    return sorted(status.error or status.state for status in statuses.values())


def detach_on_slurm(plan: Plan, root: Path, workers: int, **settings: Any) -> DetachedRun:
    """Have the jobs of a plan submitted."""
    store = Store(root)
    store.prepare()
    begin = partial(Run.begin, plan, store, workers, idle_minutes=0.05, scheduler=SlurmBackend.scheduler)
    return detach_run(
        plan, store, PlanMonitor(plan), lambda owner: begin(owner=owner), build_slurm_backend(**settings), workers
    )


def make_fake_chains(journal: Path, width: int, epochs: int, seconds: float) -> Plan:
    """Chains of two stages each, the second of which works in fresh processes."""
    nodes = []
    for index in range(width):
        knobs: dict[str, Any] = {"journal": journal, "epochs": epochs, "seconds": seconds}
        first = make_fake_node(f"first-{index}", **knobs)
        nodes += [first, make_fake_node(f"second-{index}", [first], **{**knobs, "fresh": True})]
    return make_fake_plan(*nodes)


def main() -> None:
    """`python -m cluster.slurm.slurm_runs STORE JOURNAL WIDTH EPOCHS SECONDS`: print how a run ended."""
    root, journal = Path(sys.argv[1]), Path(sys.argv[2])
    plan = make_fake_chains(journal, int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    print(json.dumps(run_on_slurm(plan, root, workers=2)))


if __name__ == "__main__":
    main()
