"""The full evaluator: which stages answer a trial, and what is read of them."""

from pathlib import Path

import pytest
import yaml

from command_lines import SMALL_MLP
from convarium.config.search_path import find_builtin_folder, list_config_groups
from convarium.errors import StageFailed, UserError
from convarium.search.evaluator import build_evaluator
from convarium.search.evaluators.full import FullEvaluator
from convarium.search.measures import SCORED_METRICS
from convarium.store.store import Store
from search.trials import compose_point, run_trials


def test_it_is_found_by_its_option_and_says_what_it_offers() -> None:
    option = find_builtin_folder("conf") / "search/evaluator/full.yaml"
    evaluator, offers = build_evaluator(yaml.safe_load(option.read_text()))
    assert evaluator == FullEvaluator()
    assert offers == SCORED_METRICS


def test_what_a_search_chooses_is_no_group_of_a_point() -> None:
    assert "search" not in list_config_groups()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ful", "search.evaluators has no 'ful'"),
        ("os.path:join", "search.evaluator os.path:join: its module has no OFFERS, the names of its measures"),
    ],
)
def test_what_is_no_evaluator_is_one_line(name: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        build_evaluator({"name": name})
    assert str(error.value) == told


def test_a_trial_is_answered_by_its_score(tmp_path: Path) -> None:
    point = compose_point(*SMALL_MLP)
    plan = FullEvaluator().plan(point)
    with pytest.raises(StageFailed, match=r"the score [0-9a-f]{12} is gone"):
        FullEvaluator().measures(plan, point, Store(tmp_path))
    assert run_trials(tmp_path, *SMALL_MLP).nodes == plan.nodes
    measures = FullEvaluator().measures(plan, point, Store(tmp_path))
    assert tuple(measures) == SCORED_METRICS
    assert 0 < measures["validation_accuracy"] < 1
    assert measures["ratio"] == 1


def test_data_without_validation_images_are_refused_before_anything_is_trained() -> None:
    point = compose_point(*SMALL_MLP)
    point.config["dataset"]["images"] = {"train": 10, "validation": 0, "test": 10}
    with pytest.raises(UserError, match=r"^dataset=digits has no validation images, which a search chooses by$"):
        FullEvaluator().plan(point)
