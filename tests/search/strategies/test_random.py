"""Random search over distinct points."""

from collections import Counter

import pytest

from convarium.search.space import Options, RealRange, WholeRange
from convarium.search.strategies.random import random
from convarium.search.strategy import has_asking_ended
from search.strategies.searching import (
    BRANCHES,
    NUMBERS,
    Answers,
    Names,
    ask,
    ask_point,
    build_study,
    choose_all,
    choose_branch,
    run_search,
)


def _answer(answers: Answers) -> float:
    return 0.0


@pytest.mark.parametrize("seed", range(5))
def test_a_space_with_branches_is_asked_whole_and_no_point_twice(seed: int) -> None:
    points = run_search(random(), BRANCHES, choose_branch, _answer, trials=50, seed=seed)
    assert len(points) == 1 + 3 + 2
    assert len({tuple(point.items()) for point in points}) == 6


def test_a_large_space_is_asked_to_its_last_point() -> None:
    names: Names = {"a": WholeRange(1, 20), "b": WholeRange(2, 32, step=2), "c": Options(("x",))}
    points = run_search(random(), names, choose_all(names), _answer, trials=1000)
    assert {(point["a"], point["b"]) for point in points} == {(a, b) for a in range(1, 21) for b in range(2, 33, 2)}
    assert len(points) == 320


def test_trials_that_were_asked_but_not_told_count() -> None:
    study, strategy = build_study(), random()
    points = []
    while not has_asking_ended(strategy, study, BRANCHES):
        points.append(ask_point(study, strategy, BRANCHES, choose_branch)[1])
    assert len({tuple(point.items()) for point in points}) == len(points) == 6


def test_a_space_with_an_interval_does_not_end() -> None:
    names: Names = {"method": Options(("none", "prune")), "sparsity": RealRange(0.5, 0.99)}

    def choose(trial):
        method = ask(trial, names, "method")
        return {"method": method} | ({} if method == "none" else {"sparsity": ask(trial, names, "sparsity")})

    points = run_search(random(), names, choose, _answer, trials=60)
    assert len(points) == 60
    assert sum(point == {"method": "none"} for point in points) == 1
    assert len({point.get("sparsity") for point in points}) == 60


def test_points_are_spread_evenly_over_options_ranges_and_logarithms() -> None:
    points = run_search(random(), NUMBERS, choose_all(NUMBERS), _answer, trials=300)
    assert 0.35 < sum(point["lr"] < 0.017 for point in points) / 300 < 0.65
    assert 0.35 < sum(point["decay"] < 0.5 for point in points) / 300 < 0.65
    assert min(Counter(point["epochs"] for point in points).values()) > 15


def test_steps_of_a_range_are_told_apart_whatever_their_last_digits() -> None:
    names: Names = {"dropout": RealRange(0.0, 0.5, step=0.1)}
    points = run_search(random(), names, choose_all(names), _answer, trials=50)
    assert sorted(round(point["dropout"], 6) for point in points) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
