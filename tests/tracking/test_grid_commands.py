"""Command lines that ask for the points of a plan again: no point less, and none more."""

import shlex
from pathlib import Path

import pytest

from convarium.tracking.grid_commands import format_run_commands
from tracking import fake_store


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([("a=1", "seed=0"), ("a=1", "seed=1")], ["a=1 seed=0,1"]),
        ([("a=1", "b=1"), ("a=1", "b=2"), ("a=2", "b=1"), ("a=2", "b=2")], ["a=1,2 b=1,2"]),
        ([("a=1", "b=1"), ("a=1", "b=2"), ("a=2", "b=1")], ["a=1 b=1,2", "a=2 b=1"]),
        ([("a=1",), ("a=1", "b=2")], ["a=1", "a=1 b=2"]),
        ([("a=1", "runtime.store=/x", "tracking=mlflow", "hydra/launcher=basic")], ["a=1"]),
        ([("~a", "+b=1"), ("~a", "+b=2")], ["'~a' +b=1,2"]),
        ([()], [""]),
    ],
)
def test_points_that_are_all_combinations_of_values_are_one_line(
    points: list[tuple[str, ...]], expected: list[str]
) -> None:
    assert format_run_commands(points) == [f"convarium run {line}".strip() for line in expected]


@pytest.mark.parametrize("typed", [fake_store.SWEEP, ("sweep=demo",), ("sweep=families",)])
def test_the_lines_ask_for_the_points_of_the_sweep(tmp_path: Path, typed: tuple[str, ...]) -> None:
    points = fake_store.plan_sweep(tmp_path / "store", typed).points
    lines = format_run_commands(point.overrides for point in points)
    plans = [fake_store.plan_sweep(tmp_path / "store", shlex.split(line)[2:]) for line in lines]
    networks = [point.network for plan in plans for point in plan.points]
    assert sorted(networks) == sorted(point.network for point in points)
    assert len(lines) < len(points)
