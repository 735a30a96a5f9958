"""Trials that are run in this process, as the controller of a search has its workers do."""

from pathlib import Path

from convarium.compose.points import compose_points
from convarium.planning.plan import Plan
from convarium.planning.stage_graph import build_trial_plan
from store.fake_run import launch_in_thread, run_plan_silently


def run_trials(store: Path, *overrides: str) -> Plan:
    """Make and score every point of a command line; return the trials' plan."""
    plan = build_trial_plan(compose_points(overrides).check_points())
    statuses = run_plan_silently(plan, store, launch_in_thread, workers=1)
    assert all(status.state == "done" for status in statuses.values()), statuses
    return plan
