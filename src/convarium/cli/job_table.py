"""The jobs of a scheduler's runs, as `convarium status` shows them."""

import sys
from collections.abc import Set
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError
from convarium.noun_count import format_noun_count

if TYPE_CHECKING:
    from rich.console import Console

    from convarium.store.store import Store

Json = dict[str, Any]


def summarise_jobs(store: "Store", goals: Set[str] | None) -> Json:
    """Return the jobs of a store's runs, and those that no worker could submit; what is not known is said on stderr.

    Args:
        goals: signatures; only runs that make some of them are told of. None: all runs.
    """
    from convarium.store.disk import format_error
    from convarium.workers.run_jobs import list_run_jobs
    from convarium.workers.stored_runs import find_scheduler_runs, read_run_plan

    jobs: list[Json] = []
    missing: list[Json] = []
    for run in find_scheduler_runs(store):
        try:
            plan = read_run_plan(run.folder, run)
            if goals is not None and goals.isdisjoint(plan.goal_signatures):
                continue
            run_jobs, missing_jobs = list_run_jobs(run, plan, store)
        except (UserError, OSError) as error:
            print(f"convarium: {format_error(error)}; the jobs of the run {run.id} are not known", file=sys.stderr)
            continue
        jobs += [vars(job) for job in run_jobs]
        if missing_jobs is not None:
            missing.append({"run": run.id, **vars(missing_jobs)})
    return {"jobs": jobs, "missing_jobs": missing}


def print_jobs(status: Json, console: "Console") -> None:
    """Print a line for each job that has not ended, and what submits those that are missing."""
    from rich.table import Table

    from convarium import terminal_table
    from convarium.workers.progress import format_duration

    table = Table("job", "state", "reason", "host", "for", "works on", box=None)
    living_jobs = [job for job in status["jobs"] if job["state"] != "ended"]
    names = {stage["signature"]: f"{stage['stage']} {stage['name']}" for stage in status["running"]}
    for job in living_jobs:
        signature = job["signature"]
        table.add_row(
            job["id"],
            job["state"],
            job["reason"] or "",
            job["host"] or "",
            format_duration(job["seconds"]) if job["state"] == "running" else "",
            names.get(signature, signature) or "",
        )
    if living_jobs:
        terminal_table.print_fitting_table(console, table, ("for", "reason", "host", "works on", "state"))
    for missing in status["missing_jobs"]:
        count = format_noun_count(missing["count"], "job")
        line = f"{count} missing, which no worker could submit ({missing['reason']}): {missing['command']}"
        console.print(line, markup=False, soft_wrap=True)
