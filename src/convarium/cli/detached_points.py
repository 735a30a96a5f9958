"""`convarium run … --detach`: the jobs that the points need are submitted, and the command ends."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from convarium.errors import UserError
from convarium.noun_count import format_noun_count

if TYPE_CHECKING:
    from convarium.compose.points import PointRequest
    from convarium.workers.detached_run import DetachedRun


@dataclass(frozen=True)
class DetachedPoints:
    """Points that are made without this process.

    Attributes:
        run: that makes what is missing; None where nothing is.
        point_count: of all points.
        stored_count: of those that were stored before.
    """

    run: "DetachedRun | None"
    point_count: int
    stored_count: int


def check_launcher_outlives(request: "PointRequest") -> None:
    """Check that a scheduler keeps the jobs of a command line's launcher when the command has ended.

    Raises:
        UserError: it has none.
    """
    from convarium.compose.hydra_files import LAUNCHER_GROUP
    from convarium.compose.hydra_launcher import (
        build_backend_builder,
        compose_launcher_config,
        find_scheduler,
        has_lasting_workers,
    )
    from convarium.compose.store_access import open_store

    root = open_store(request.runtime).root.resolve()
    config = compose_launcher_config(request.composer.loader, request.launcher_overrides, root, 1)
    build_backend_builder(config)  # what its target names can be imported
    if find_scheduler(config) is None:
        names = [override.value for override in request.launcher_overrides if override.key == LAUNCHER_GROUP]
        name = names[-1] if names else "local"
        reason = "have yet to come when the command ends" if has_lasting_workers(config) else "end with the command"
        raise UserError(
            f"--detach: workers of {LAUNCHER_GROUP}={name} {reason}; take a launcher whose jobs a scheduler"
            f" keeps, such as {LAUNCHER_GROUP}=slurm"
        )


def detach_points(request: "PointRequest") -> DetachedPoints:
    """Submit the jobs that make what is missing.

    Raises:
        UserError: a point can't be made, or the launcher refused.
    """
    from convarium.cli.dataset_summary import print_dataset_summaries, summarise_datasets
    from convarium.cli.prepared_run import prepare_run
    from convarium.workers.controller import look_at_store
    from convarium.workers.detached_run import detach_run
    from convarium.workers.ready_nodes import PlanMonitor
    from convarium.workers.run_claim import print_line
    from convarium.workers.run_file import Run

    prepared = prepare_run(request)
    plan, store = prepared.plan, prepared.store
    print_dataset_summaries(summarise_datasets(request.check_points()))
    monitor = PlanMonitor(plan)
    plan_state = look_at_store(plan, store, monitor)
    stored_count = sum(plan_state.done.issuperset(point.figure_signatures) for point in plan.points)
    if plan_state.is_finished:
        return DetachedPoints(None, len(plan.points), stored_count)
    store.prepare()
    begin = partial(
        Run.begin,
        plan,
        store,
        prepared.workers,
        prepared.threads,
        prepared.devices,
        prepared.idle_minutes,
        prepared.scheduler,
    )
    if request.tracking["name"] != "none":
        print_line("nothing is tracked while no command follows the run: convarium sync writes it afterwards")
    run = detach_run(plan, store, monitor, begin, prepared.build_backend, prepared.workers)
    return DetachedPoints(run, len(plan.points), stored_count)


def print_detached(points: DetachedPoints, overrides: Sequence[str], is_json: bool) -> None:
    """Print what was submitted, and the commands that follow it or end it."""
    from convarium.cli import output

    run = points.run
    if is_json:
        jobs = [] if run is None else [*run.jobs, *run.submitted_jobs]
        run_id = None if run is None else run.run.id
        output.print_json({"run": run_id, "jobs": jobs, "points": points.point_count, "stored": points.stored_count})
        return
    stored_line = f"{points.stored_count} of {format_noun_count(points.point_count, 'point')} stored"
    if run is None:
        print(f"{stored_line}: nothing is left to run")
        return
    print(stored_line)
    for line in _describe_run(run):
        print(line)
    print(f"to see how far it is: {shlex.join(['convarium', 'status', *overrides])}")
    print(f"to end it: {shlex.join(['convarium', 'cancel', str(run.run.folder)])}")


def _describe_run(run: "DetachedRun") -> list[str]:
    lines = []
    if run.controller is not None:
        who = f"{run.controller.host} process {run.controller.pid}"
        lines.append(f"{who} controls this run already, and submits what is missing")
    if run.jobs:
        lines.append(f"{format_noun_count(len(run.jobs), 'job')} already there: {format_job_ids(run.jobs)}")
    if run.submitted_jobs:
        count = format_noun_count(len(run.submitted_jobs), "job")
        lines.append(f"{count} submitted: {format_job_ids(run.submitted_jobs)}")
    if run.missing_count:
        lines.append(f"Slurm takes no more now: {run.missing_count} are missing, which the workers submit later")
    return lines


def format_job_ids(jobs: Sequence[str]) -> str:
    """Return the ids of jobs with the tasks of an array together, as Slurm writes them: 4711_[0,1,5]."""
    tasks: dict[str, list[str]] = {}
    for job in jobs:
        match = re.fullmatch(r"(\d+)_(\d+)", job)
        array_id, task = match.groups() if match else (job, "")
        tasks.setdefault(array_id, []).append(task)
    return ", ".join(
        f"{array_id}_[{','.join(each)}]" if len(each) > 1 else f"{array_id}_{each[0]}".rstrip("_")
        for array_id, each in tasks.items()
    )
