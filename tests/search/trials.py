"""Trials that are run in this process, as the controller of a search has its workers do."""

from pathlib import Path

from convarium.compose.points import compose_points
from convarium.config.point import Point
from convarium.planning.plan import Plan
from convarium.planning.stage_graph import build_trial_plan
from store.fake_run import launch_in_thread, run_plan_silently


def compose_point(*overrides: str) -> Point:
    """The one point of a command line."""
    (point,) = compose_points(overrides).check_points()
    return point


def plan_trials(*overrides: str) -> Plan:
    """Every point of a command line as a trial."""
    return build_trial_plan(compose_points(overrides).check_points())


def run_trials(store: Path, *overrides: str) -> Plan:
    """Make and score every point of a command line; return the trials' plan."""
    plan = plan_trials(*overrides)
    statuses = run_plan_silently(plan, store, launch_in_thread, workers=1)
    assert all(status.state == "done" for status in statuses.values()), statuses
    return plan
