"""The options of search/strategy and search/pruner: each file's keys are what its function takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from convarium.config.checker import check_open_set
from convarium.config.option_file import read_option
from convarium.config.search_path import find_config_file
from convarium.errors import UserError
from convarium.search.pruning import build_pruner, find_pruning
from convarium.search.strategy import build_sampler, find_strategy
from search.strategies.searching import BRANCHES

STRATEGIES = ("random", "tpe", "nsga2", "gp", "optuna")
PRUNERS = ("none", "median", "halving", "hyperband")


def _check_option(group: str, name: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    file = find_config_file("conf", f"search/{group}/{name}")
    assert file is not None
    option = read_option(file)
    return check_open_set({**option, **values}, option, f"search.{group}")


def test_each_file_of_the_groups_is_tried_here() -> None:
    for group, names in (("strategy", STRATEGIES), ("pruner", PRUNERS)):
        file = find_config_file("conf", f"search/{group}/{names[0]}")
        assert file is not None
        assert {path.stem for path in Path(file).parent.glob("*.yaml")} == set(names)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_of_each_file_builds_its_sampler(name: str) -> None:
    values = {"sampler": "optuna.samplers:BruteForceSampler"} if name == "optuna" else {}
    build_sampler(find_strategy(_check_option("strategy", name, values)), 0, 0, BRANCHES)


@pytest.mark.parametrize("name", PRUNERS)
@pytest.mark.parametrize("steps", [1, 27])
def test_a_pruner_of_each_file_is_built_for_few_steps_as_for_many(name: str, steps: int) -> None:
    build_pruner(find_pruning(_check_option("pruner", name, {})), steps, objective_count=1)


@pytest.mark.parametrize(
    ("group", "name", "values", "line"),
    [
        ("strategy", "nsga2", {"population_size": 1}, "search.strategy.population_size=1"),
        ("strategy", "nsga2", {"mutation": 2.0}, "search.strategy.mutation=2"),
        ("strategy", "tpe", {"group": "yes"}, "search.strategy.group='yes'"),
        ("strategy", "gp", {"startup": 3}, "search.strategy.startup"),
        ("strategy", "optuna", {"knobs": [3]}, "search.strategy.knobs"),
        ("pruner", "halving", {"reduction": 1}, "search.pruner.reduction=1"),
        ("pruner", "median", {"startup_trials": 0}, "search.pruner.startup_trials=0"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(group: str, name: str, values: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        _check_option(group, name, values)


@pytest.mark.parametrize("find", [find_strategy, find_pruning])
def test_an_unknown_name_is_refused_and_a_users_own_is_found_by_its_import_path(find: Any) -> None:
    with pytest.raises(UserError, match=r"has no 'tpee'"):
        find({"name": "tpee"})
    own = {
        find_strategy: "convarium.search.strategies.random:random",
        find_pruning: "convarium.search.pruners.none:none",
    }
    assert find({"name": own[find]}) is not None
